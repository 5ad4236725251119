#include "launch/task_pod.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/name_rules.h"
#include "launch/pod_merge.h"
#include "launch/program_template.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kBinVolume[] = "capstan-bin";
constexpr char kIndexField[] =
    R"({"fieldRef":{"fieldPath":"metadata.annotations['batch.kubernetes.io/job-completion-index']"}})";

std::string FolderPart(const std::string& path) { return path.substr(0, path.rfind('/')); }

// The role's program with what every task gets: index, port, token, certificates, supervisor.
ProgramSpec TaskProgram(const Plan& plan, const RolePlan& role) {
  ProgramSpec program = role.spec.program;
  program.command = role.command;
  program.args = role.args;
  // First: $(JOB_COMPLETION_INDEX) refers only to what stands before, and the Job controller would
  // add its own at the end.
  program.env = {{.name = "JOB_COMPLETION_INDEX", .value_from = kIndexField}};
  program.env.insert(program.env.end(), role.env.begin(), role.env.end());
  const char* port_name = plan.spec.is_manifest ? "tfjob-port" : "task";
  program.ports.insert(program.ports.begin(), {port_name, role.spec.port});
  const auto add = [&](const char* name, VolumeSpec::Kind kind, const std::string& source,
                       const std::string& path) {
    program.volumes.push_back(
        {.name = name, .kind = kind, .source = source, .mount_path = path, .read_only = true});
  };
  if (plan.has_token) {
    add("capstan-token", VolumeSpec::Kind::kSecret, TokenName(plan.spec.name),
        FolderPart(kTokenPath));
  }
  if (!plan.spec.security.tls_secret.empty()) {
    add("capstan-tls", VolumeSpec::Kind::kSecret, plan.spec.security.tls_secret, kTlsPath);
  }
  if (role.supervised) add(kBinVolume, VolumeSpec::Kind::kEmpty, "", FolderPart(kSupervisorPath));
  return program;
}

Json InitContainer(const Plan& plan) {
  const Json amounts = {{"cpu", "100m"}, {"memory", "32Mi"}};
  Json container = {{"name", "capstan-task"}, {"image", plan.supervisor_image}};
  if (!plan.spec.image_pull_policy.empty()) {
    container["imagePullPolicy"] = plan.spec.image_pull_policy;
  }
  container["command"] =
      Json::array({"/capstan-task", std::string("--copy_to=") + kSupervisorPath});
  container["resources"] = {{"requests", amounts}, {"limits", amounts}};
  Json mount = {{"name", kBinVolume}, {"mountPath", FolderPart(kSupervisorPath)}};
  container["volumeMounts"] = Json::array({mount});
  return container;
}

bool UsesTls(const Plan& plan, const RolePlan& role) {
  const auto names_tls = [](const std::string& word) { return word.starts_with("--tls_"); };
  return !plan.spec.security.tls_secret.empty() ||
         std::any_of(role.command.begin(), role.command.end(), names_tls) ||
         std::any_of(role.args.begin(), role.args.end(), names_tls);
}

// A server restores before it is ready, however long that takes; the kubelet's gRPC probe speaks no
// TLS before 1.37. No liveness probe: a loaded server is not a dead one.
void AddProbes(const Plan& plan, const RolePlan& role, Json* container) {
  const bool has_health = role.spec.role == JobRole::kPs && role.is_capstan && !plan.one_job;
  if (!has_health || UsesTls(plan, role)) return;
  const Json grpc = {{"port", role.spec.port}};
  (*container)["startupProbe"] = {{"grpc", grpc}, {"periodSeconds", 2}, {"failureThreshold", 1800}};
  (*container)["readinessProbe"] = {
      {"grpc", grpc}, {"periodSeconds", 5}, {"timeoutSeconds", 5}, {"failureThreshold", 3}};
}

Json SpreadOverHosts(const Json& labels) {
  Json spread = {{"maxSkew", 1},
                 {"topologyKey", "kubernetes.io/hostname"},
                 {"whenUnsatisfiable", "ScheduleAnyway"}};
  spread["labelSelector"]["matchLabels"] = labels;
  return Json::array({spread});
}

Json MetadataOf(const Plan& plan, const RolePlan& role, const KubernetesTarget& target) {
  Json labels = plan.spec.labels;
  labels["app.kubernetes.io/managed-by"] = "capstan";
  labels[kJobLabel] = plan.spec.name;
  if (!plan.one_job) labels[kRoleLabel] = NameOf(role.spec.role);
  if (plan.spec.is_manifest) {
    labels["training.kubeflow.org/job-name"] = plan.spec.name;
    if (!plan.one_job) labels["training.kubeflow.org/replica-type"] = NameOf(role.spec.role);
  }
  // A mesh's sidecar never ends, and would keep the Job from its end.
  labels["sidecar.istio.io/inject"] = "false";
  if (target.gang == GangRoute::kCoscheduling) {
    labels["scheduling.x-k8s.io/pod-group"] = plan.spec.name;
  }
  Json metadata = {{"labels", labels}};
  Json annotations = plan.spec.annotations;
  if (target.gang == GangRoute::kVolcano) {
    annotations["scheduling.k8s.io/group-name"] = plan.spec.name;
  }
  if (!annotations.empty()) metadata["annotations"] = annotations;
  return metadata;
}

void AddGang(const Plan& plan, const KubernetesTarget& target, Json* spec) {
  if (target.gang == GangRoute::kPodGroup) {
    (*spec)["schedulingGroup"]["podGroupName"] = plan.spec.name;
  } else if (target.gang == GangRoute::kCoscheduling) {
    (*spec)["schedulerName"] = "scheduler-plugins-scheduler";
  } else if (target.gang == GangRoute::kVolcano) {
    (*spec)["schedulerName"] = "volcano";
  }
}

}  // namespace

std::string TaskContainer(const JobSpec& job) { return job.is_manifest ? "tensorflow" : "task"; }

StatusOr<std::string> TaskPodTemplate(const Plan& plan, const RolePlan& role,
                                      const KubernetesTarget& target) {
  const JobSpec& job = plan.spec;
  Json pod;
  pod["metadata"] = MetadataOf(plan, role, target);
  Json& spec = pod["spec"];
  spec["subdomain"] = job.name;
  spec["restartPolicy"] = HasFailurePolicy(target) ? "Never" : "OnFailure";
  spec["terminationGracePeriodSeconds"] = role.spec.stop_timeout_s;
  // A manifest's pods may bring an account of their own.
  if (!job.service_account.empty()) spec["serviceAccountName"] = job.service_account;
  if (job.service_account.empty() && !job.is_manifest) spec["automountServiceAccountToken"] = false;
  spec["enableServiceLinks"] = false;
  if (!job.priority_class.empty()) spec["priorityClassName"] = job.priority_class;
  AddGang(plan, target, &spec);
  if (role.spec.role == JobRole::kPs && !plan.one_job) {
    spec["topologySpreadConstraints"] =
        SpreadOverHosts({{kJobLabel, job.name}, {kRoleLabel, NameOf(role.spec.role)}});
  }
  if (role.supervised) spec["initContainers"] = Json::array({InitContainer(plan)});
  const ProgramSpec program = TaskProgram(plan, role);
  Json program_spec =
      Json::parse(ProgramPodSpec(program, TaskContainer(job), job.image_pull_policy));
  AddProbes(plan, role, &program_spec["containers"][0]);
  spec.update(program_spec);
  const StatusOr<std::string> merged = PutBeneath(pod.dump(), program.pod);
  if (!merged.ok()) return Annotate(merged.status(), std::string(NameOf(role.spec.role)));
  return merged;
}

}  // namespace capstan
