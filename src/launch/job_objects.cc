#include "launch/job_objects.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/name_rules.h"
#include "launch/object_parts.h"
#include "launch/program_template.h"
#include "launch/quantity.h"
#include "launch/task_pod.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

bool GivesUp(const FailureTable& failures) {
  const auto ranges = failures.Ranges();
  return failures.at_limit == FailureAction::kGiveUp ||
         std::any_of(ranges.begin(), ranges.end(), [](const FailureRule& range) {
           return range.action == FailureAction::kGiveUp;
         });
}

Json CodesOf(const FailureTable& failures, FailureAction action) {
  Json codes = Json::array();
  for (const FailureRule& range : failures.Ranges()) {
    if (range.action != action) continue;
    for (int code = range.first; code <= range.last; ++code) codes.push_back(code);
  }
  return codes;
}

// First match counts; what no rule names is charged to the limit, which is a retry. Codes that
// succeed never come here: capstan-task makes them 0.
Json FailurePolicyOf(const FailureTable& failures, const std::string& container) {
  Json rules = Json::array();
  const Json disruption = {{"type", "DisruptionTarget"}, {"status", "True"}};
  rules.push_back({{"action", "Ignore"}, {"onPodConditions", Json::array({disruption})}});
  const auto add = [&](const char* action, const Json& codes) {
    if (codes.empty()) return;
    Json on_codes = {{"containerName", container}};
    const bool all = codes.size() == 255;
    on_codes["operator"] = all ? "NotIn" : "In";
    on_codes["values"] = all ? Json::array({0}) : codes;
    rules.push_back({{"action", action}, {"onExitCodes", on_codes}});
  };
  add("FailJob", CodesOf(failures, FailureAction::kFailJob));
  add("FailIndex", CodesOf(failures, FailureAction::kGiveUp));
  return {{"rules", rules}};
}

// Indexes whose end with 0 ends a Job that holds others too; "" where all must end.
std::string LeadingIndexes(const Plan& plan, const RolePlan& role, int completions) {
  int leading = 0;
  for (const RolePlan& other : plan.roles) {
    if (!plan.one_job && other.spec.role != role.spec.role) continue;
    for (const TaskPlan& task : other.tasks) leading += task.leads ? 1 : 0;
  }
  if (leading == 0 || leading == completions) return "";
  return leading == 1 ? "0" : fmt::format("0-{}", leading - 1);
}

void AddFailureFields(const Plan& plan, const RolePlan& role, const KubernetesTarget& target,
                      int completions, Json* spec) {
  const FailureTable& failures = role.spec.failures;
  if (!HasFailurePolicy(target)) {
    (*spec)["backoffLimit"] =
        std::min<int64_t>(int64_t{failures.retry_limit} * completions, INT32_MAX);
    return;
  }
  (*spec)["backoffLimitPerIndex"] = failures.retry_limit;
  if (!GivesUp(failures)) (*spec)["maxFailedIndexes"] = 0;
  (*spec)["podReplacementPolicy"] = "Failed";
  (*spec)["podFailurePolicy"] = FailurePolicyOf(failures, TaskContainer(plan.spec));
  const std::string leading = LeadingIndexes(plan, role, completions);
  if (leading.empty()) return;
  const Json rule = {{"succeededIndexes", leading}};
  (*spec)["successPolicy"]["rules"] = Json::array({rule});
}

// The sum of a resource over all tasks as a quantity; "" if a task does not say.
std::string SumOf(const Plan& plan, std::string ResourceSpec::*field, bool in_thousandths) {
  double sum = 0;
  for (const RolePlan& role : plan.roles) {
    const std::string& text = role.spec.program.resources.*field;
    if (text.empty()) return "";
    sum += ParseQuantity(text).value_or(0) * role.spec.replicas;
  }
  return in_thousandths ? fmt::format("{:.0f}m", std::ceil(sum * 1000))
                        : fmt::format("{:.0f}", std::ceil(sum));
}

Json GroupResources(const Plan& plan) {
  Json resources = Json::object();
  if (const std::string cpu = SumOf(plan, &ResourceSpec::cpu, true); !cpu.empty()) {
    resources["cpu"] = cpu;
  }
  if (const std::string memory = SumOf(plan, &ResourceSpec::memory, false); !memory.empty()) {
    resources["memory"] = memory;
  }
  std::map<std::string, int> gpus;
  for (const RolePlan& role : plan.roles) {
    const ResourceSpec& r = role.spec.program.resources;
    if (r.gpus > 0) gpus[r.gpu_resource] += r.gpus * role.spec.replicas;
  }
  for (const auto& [name, count] : gpus) resources[name] = std::to_string(count);
  return resources;
}

StatusOr<KubernetesObject> PodGroup(const Plan& plan, const KubernetesTarget& target) {
  const JobSpec& job = plan.spec;
  const int tasks = job.gang_min_tasks > 0 ? job.gang_min_tasks : job.task_count();
  KubernetesObject object{
      .kind = "PodGroup", .resource = "podgroups", .name = job.name, .is_owned = true};
  Json spec = Json::object();
  if (target.gang == GangRoute::kPodGroup) {
    if (target.minor < 36) {
      return Error("gang podgroup wants Kubernetes 1.36 or newer, this is 1.{}", target.minor);
    }
    object.api_version =
        target.minor >= 37 ? "scheduling.k8s.io/v1beta1" : "scheduling.k8s.io/v1alpha2";
    spec["schedulingPolicy"]["gang"]["minCount"] = tasks;
  } else {
    const bool volcano = target.gang == GangRoute::kVolcano;
    object.api_version = volcano ? "scheduling.volcano.sh/v1beta1" : "scheduling.x-k8s.io/v1alpha1";
    spec["minMember"] = tasks;
    // Resources of some of the tasks cannot be known.
    if (const Json sum = GroupResources(plan); !sum.empty() && tasks == job.task_count()) {
      spec["minResources"] = sum;
    }
    if (volcano && !job.queue.empty()) spec["queue"] = job.queue;
    if (!volcano && job.start_timeout_s > 0) spec["scheduleTimeoutSeconds"] = job.start_timeout_s;
  }
  const bool has_priority = target.gang != GangRoute::kCoscheduling;
  if (has_priority && !job.priority_class.empty()) spec["priorityClassName"] = job.priority_class;
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject HeadlessService(const Plan& plan) {
  KubernetesObject object{.api_version = "v1",
                          .kind = "Service",
                          .resource = "services",
                          .name = plan.spec.name,
                          .is_owned = true};
  Json spec = {{"clusterIP", "None"}, {"publishNotReadyAddresses", true}};
  spec["selector"][kJobLabel] = plan.spec.name;
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject TokenSecret(const Plan& plan) {
  KubernetesObject object{.api_version = "v1",
                          .kind = "Secret",
                          .resource = "secrets",
                          .name = TokenName(plan.spec.name),
                          .is_owned = true};
  Json body = {{"type", "Opaque"}};
  body["stringData"]["token"] = kTokenPlaceholder;
  FillObject(plan, body.dump(), {}, &object);
  return object;
}

KubernetesObject Budget(const Plan& plan, const RolePlan& role, const KubernetesTarget& target) {
  KubernetesObject object{.api_version = "policy/v1",
                          .kind = "PodDisruptionBudget",
                          .resource = "poddisruptionbudgets",
                          .name = role.job_name,
                          .is_owned = true};
  Json spec = {{"minAvailable", role.spec.min_available}};
  if (target.minor >= 31) spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow";
  spec["selector"]["matchLabels"] = {{kJobLabel, plan.spec.name},
                                     {kRoleLabel, NameOf(role.spec.role)}};
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

}  // namespace

std::string AnchorName(const Plan& plan) {
  return plan.one_job ? plan.spec.name : RoleName(plan.spec.name, plan.spec.leading_role());
}

StatusOr<KubernetesObject> RoleJob(const Plan& plan, const RolePlan& role,
                                   const KubernetesTarget& target) {
  const JobSpec& job = plan.spec;
  KubernetesObject object{
      .api_version = "batch/v1", .kind = "Job", .resource = "jobs", .name = role.job_name};
  object.is_anchor = object.name == AnchorName(plan);
  object.is_owned = !object.is_anchor;
  const int completions = plan.one_job ? job.task_count() : role.spec.replicas;
  ASSIGN_OR_RETURN(const std::string pod, TaskPodTemplate(plan, role, target));
  Json spec = {
      {"completionMode", "Indexed"}, {"completions", completions}, {"parallelism", completions}};
  if (object.is_anchor || job.suspended) spec["suspend"] = true;
  AddFailureFields(plan, role, target, completions, &spec);
  if (job.deadline_s > 0) spec["activeDeadlineSeconds"] = job.deadline_s;
  if (object.is_anchor && job.time_to_live_s >= 0) {
    spec["ttlSecondsAfterFinished"] = job.time_to_live_s;
  }
  spec["template"] = Json::parse(pod, nullptr, /*allow_exceptions=*/false);
  std::map<std::string, std::string> annotations = job.annotations;
  if (object.is_anchor && job.start_timeout_s > 0) {
    annotations[kStartTimeoutAnnotation] = std::to_string(job.start_timeout_s);
  }
  FillObject(plan, Json{{"spec", spec}}.dump(), annotations, &object);
  return object;
}

StatusOr<std::vector<KubernetesObject>> ObjectsBeside(const Plan& plan,
                                                      const KubernetesTarget& target) {
  std::vector<KubernetesObject> objects = {HeadlessService(plan)};
  if (plan.has_token) objects.push_back(TokenSecret(plan));
  if (target.gang == GangRoute::kPodGroup || target.gang == GangRoute::kCoscheduling ||
      target.gang == GangRoute::kVolcano) {
    ASSIGN_OR_RETURN(KubernetesObject group, PodGroup(plan, target));
    objects.push_back(std::move(group));
  }
  for (const RolePlan& role : plan.roles) {
    if (role.spec.min_available > 0) objects.push_back(Budget(plan, role, target));
  }
  return objects;
}

std::vector<KubernetesObject> TensorBoardObjects(const Plan& plan) {
  const TensorBoardSpec& board = *plan.spec.tensorboard;
  const std::string name = TensorBoardName(plan.spec.name);
  const Json labels = {{kBoardLabel, plan.spec.name}};
  ProgramSpec program{.image = board.image};
  program.command = {"tensorboard", "--logdir=" + board.log_dir, "--bind_all",
                     fmt::format("--port={}", board.port)};
  program.ports = {{"http", board.port}};
  if (const RoleSpec* leader = plan.spec.Find(plan.spec.leading_role()); leader != nullptr) {
    program.volumes = leader->program.volumes;
    for (VolumeSpec& volume : program.volumes) volume.read_only = true;
  }
  KubernetesObject deployment{.api_version = "apps/v1",
                              .kind = "Deployment",
                              .resource = "deployments",
                              .name = name,
                              .is_owned = true};
  Json spec = {{"replicas", 1}};
  spec["selector"]["matchLabels"] = labels;
  spec["template"]["metadata"]["labels"] = labels;
  Json& pod = spec["template"]["spec"];
  pod["automountServiceAccountToken"] = false;
  pod["enableServiceLinks"] = false;
  pod.update(Json::parse(ProgramPodSpec(program, "tensorboard", plan.spec.image_pull_policy)));
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &deployment);
  KubernetesObject service{.api_version = "v1",
                           .kind = "Service",
                           .resource = "services",
                           .name = name,
                           .is_owned = true};
  const Json port = {{"name", "http"}, {"port", board.port}, {"targetPort", "http"}};
  Json service_spec;
  service_spec["selector"] = labels;
  service_spec["ports"] = Json::array({port});
  FillObject(plan, Json{{"spec", service_spec}}.dump(), {}, &service);
  return {std::move(deployment), std::move(service)};
}

}  // namespace capstan
