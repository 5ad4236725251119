#include "launch/kubernetes_objects.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "launch/job_objects.h"
#include "launch/job_outline.h"
#include "launch/serving_objects.h"
#include "launch/task_pod.h"
#include "launch/yaml_text.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

Status AppendTraining(const Plan& plan, const KubernetesTarget& target,
                      std::vector<KubernetesObject>* objects) {
  std::vector<KubernetesObject> jobs;
  for (const RolePlan& role : plan.roles) {
    ASSIGN_OR_RETURN(KubernetesObject job, RoleJob(plan, role, target));
    jobs.push_back(std::move(job));
    if (plan.one_job) break;  // the roles are alike
  }
  std::stable_partition(jobs.begin(), jobs.end(),
                        [](const KubernetesObject& job) { return job.is_anchor; });
  ASSIGN_OR_RETURN(std::vector<KubernetesObject> beside, ObjectsBeside(plan, target));
  objects->push_back(std::move(jobs.front()));
  std::move(beside.begin(), beside.end(), std::back_inserter(*objects));
  std::move(jobs.begin() + 1, jobs.end(), std::back_inserter(*objects));
  if (plan.spec.tensorboard.has_value()) {
    for (KubernetesObject& object : TensorBoardObjects(plan)) objects->push_back(std::move(object));
  }
  return OkStatus();
}

}  // namespace

StatusOr<int> ParseKubernetesMinor(const std::string& version) {
  std::string_view rest = version;
  if (rest.starts_with("v")) rest.remove_prefix(1);
  int minor = 0;
  const char* end = rest.data() + rest.size();
  const bool is_one = rest.starts_with("1.");
  if (is_one) rest.remove_prefix(2);
  const auto result = std::from_chars(rest.data(), end, minor);
  // "1.27+" and "1.27.3-gke.100" are how servers write it.
  if (!is_one || result.ec != std::errc() || minor < 0 ||
      (result.ptr != end && *result.ptr != '.' && *result.ptr != '+')) {
    return Error("Kubernetes version '{}', wanted one as 1.36", version);
  }
  if (minor < kOldestKubernetesMinor) {
    return Error(
        "Kubernetes 1.{} has no stable Indexed Jobs and would drop fields of them silently, wanted "
        "1.{} or newer",
        minor, kOldestKubernetesMinor);
  }
  return minor;
}

namespace {

StatusOr<std::vector<KubernetesObject>> RenderBare(const Plan& plan, const KubernetesTarget& target,
                                                   std::vector<std::string>* warnings) {
  if (plan.engine != EngineKind::kKubernetes)
    return Error("the plan is for a {} run", NameOf(plan.engine));
  KubernetesTarget chosen = target;
  if (chosen.gang == GangRoute::kAuto) chosen.gang = plan.spec.gang;
  if (chosen.gang == GangRoute::kAuto) chosen.gang = GangRoute::kNone;
  std::vector<KubernetesObject> objects;
  if (!plan.roles.empty()) {
    if (!HasFailurePolicy(chosen)) {
      warnings->push_back(fmt::format(
          "Kubernetes 1.{} has no podFailurePolicy: any failure is retried, and an evicted pod is "
          "charged; from 1.31 on the table of retries counts",
          chosen.minor));
      if (plan.one_job) {
        warnings->push_back(fmt::format(
            "Kubernetes 1.{} has no successPolicy: the job ends when every task has ended with 0",
            chosen.minor));
      }
    }
    RETURN_IF_ERROR(AppendTraining(plan, chosen, &objects));
  }
  if (plan.spec.serve.has_value()) {
    ASSIGN_OR_RETURN(std::vector<KubernetesObject> serving, ServingObjects(plan, chosen));
    std::move(serving.begin(), serving.end(), std::back_inserter(objects));
  }
  return objects;
}

}  // namespace

StatusOr<std::vector<KubernetesObject>> RenderObjects(const Plan& plan,
                                                      const KubernetesTarget& target,
                                                      std::vector<std::string>* warnings) {
  ASSIGN_OR_RETURN(std::vector<KubernetesObject> objects, RenderBare(plan, target, warnings));
  // The job is the same whatever its cluster is: its hash is that of one version and no gang.
  std::vector<std::string> unused;
  ASSIGN_OR_RETURN(const std::vector<KubernetesObject> hashed,
                   RenderBare(plan, {.gang = GangRoute::kNone}, &unused));
  return WithOutline(OutlineOf(plan, hashed), plan.spec.suspended, std::move(objects));
}

std::string ObjectsAsYaml(const std::vector<KubernetesObject>& objects) {
  std::string text;
  for (const KubernetesObject& object : objects) {
    if (!text.empty()) text += "---\n";
    text += YamlOfJson(object.json);
  }
  return text;
}

std::string ObjectsAsJson(const std::vector<KubernetesObject>& objects) {
  Json list = {{"apiVersion", "v1"}, {"kind", "List"}};
  list["items"] = Json::array();
  for (const KubernetesObject& object : objects) {
    list["items"].push_back(Json::parse(object.json, nullptr, /*allow_exceptions=*/false));
  }
  return list.dump(1) + "\n";
}

}  // namespace capstan
