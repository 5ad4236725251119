#include "launch/plan_checks.h"

#include <algorithm>
#include <map>
#include <set>

#include "launch/name_rules.h"
#include "launch/quantity.h"
#include "launch/task_storage.h"

namespace capstan {
namespace {

constexpr const char* kOurEnv[] = {"TF_CONFIG", "JOB_COMPLETION_INDEX", "CAPSTAN_JOB",
                                   "CAPSTAN_ROLE"};

Status CheckAmounts(const std::string& what, const std::string& asked, const std::string& limit) {
  double asked_value = 0;
  if (!asked.empty()) {
    StatusOr<double> value = ParseQuantity(asked);
    if (!value.ok()) return Annotate(value.status(), what);
    asked_value = *value;
  }
  if (limit.empty()) return OkStatus();
  const StatusOr<double> value = ParseQuantity(limit);
  if (!value.ok()) return Annotate(value.status(), what + "_limit");
  if (*value < asked_value) {
    return Error("{}: limit {} is below the {} that is asked for", what, limit, asked);
  }
  return OkStatus();
}

Status CheckEnv(const std::string& who, const std::vector<EnvVar>& env, EngineKind engine) {
  std::set<std::string> names;
  for (const EnvVar& var : env) {
    if (var.name.empty() ||
        var.name.find_first_of(std::string_view("=\0", 2)) != std::string::npos) {
      return Error("{}: env '{}' is no name of a variable", who, var.name);
    }
    if (!names.insert(var.name).second) return Error("{}: env {} is given twice", who, var.name);
    for (const char* ours : kOurEnv) {
      if (var.name == ours) return Error("{}: env {} is set by the job itself", who, var.name);
    }
    if (!var.value_from.empty() && engine != EngineKind::kKubernetes) {
      return Error("{}: env {}: valueFrom is Kubernetes' own, {} runs cannot give it", who,
                   var.name, NameOf(engine));
    }
  }
  return OkStatus();
}

Status CheckVolumes(const std::string& who, const std::vector<VolumeSpec>& volumes,
                    EngineKind engine) {
  using Kind = VolumeSpec::Kind;
  std::set<std::string> mounts;
  for (const VolumeSpec& v : volumes) {
    RETURN_IF_ERROR(CheckDnsLabel(who + ": volume", v.name));
    if (!mounts.insert(v.mount_path).second) {
      return Error("{}: two volumes are mounted at {}", who, v.mount_path);
    }
    if (engine == EngineKind::kKubernetes && v.kind == Kind::kNone) {
      return Error(
          "{}: volume '{}' is a folder of this machine, which Kubernetes does not see; "
          "add claim or host_path",
          who, v.name);
    }
    if (v.kind == Kind::kClaim || v.kind == Kind::kConfigMap || v.kind == Kind::kSecret) {
      RETURN_IF_ERROR(CheckObjectName(fmt::format("{}: volume '{}':", who, v.name), v.source));
    }
    const bool only_kubernetes = v.kind == Kind::kConfigMap || v.kind == Kind::kSecret;
    const bool only_mounts = v.kind == Kind::kClaim || v.kind == Kind::kEmpty;
    if (v.folder.empty() && ((engine == EngineKind::kDocker && only_kubernetes) ||
                             (engine == EngineKind::kLocal && (only_kubernetes || only_mounts)))) {
      return Error("{}: volume '{}': {} runs need a folder in its place (folder: …)", who, v.name,
                   NameOf(engine));
    }
  }
  return OkStatus();
}

Status CheckProgram(const std::string& who, const ProgramSpec& program, EngineKind engine) {
  const ResourceSpec& r = program.resources;
  RETURN_IF_ERROR(CheckAmounts(who + ": cpu", r.cpu, r.cpu_limit));
  RETURN_IF_ERROR(CheckAmounts(who + ": memory", r.memory, r.memory_limit));
  RETURN_IF_ERROR(CheckAmounts(who + ": gpu_memory", r.gpu_memory, ""));
  RETURN_IF_ERROR(CheckLabelValue(who + ": gpu_model", r.gpu_model));
  RETURN_IF_ERROR(CheckLabelKey(who + ": gpu_resource", r.gpu_resource));
  if (r.gpus == 0 && (!r.gpu_model.empty() || !r.gpu_memory.empty())) {
    return Error("{}: gpu_model and gpu_memory without gpus", who);
  }
  RETURN_IF_ERROR(CheckEnv(who, program.env, engine));
  RETURN_IF_ERROR(CheckVolumes(who, program.volumes, engine));
  for (const auto& [key, value] : program.node_selector) {
    RETURN_IF_ERROR(CheckLabelKey(who + ": node_selector", key));
    RETURN_IF_ERROR(CheckLabelValue(who + ": node_selector " + key, value));
  }
  for (const auto& [name, port] : program.ports) {
    RETURN_IF_ERROR(CheckDnsName(who + ": port", name));
    if (name.size() > 15) return Error("{}: port '{}' has a name over 15 characters", who, name);
  }
  if (!program.working_dir.empty() && engine != EngineKind::kLocal &&
      !program.working_dir.starts_with('/')) {
    return Error("{}: working_dir '{}' is no absolute path", who, program.working_dir);
  }
  if (engine != EngineKind::kLocal && program.image.empty()) {
    return Error("{}: image is missing, which {} runs need", who, NameOf(engine));
  }
  return OkStatus();
}

// Programs that never end by themselves are ended by their supervisor, which must know what to run.
Status CheckSupervision(const JobSpec& job, EngineKind engine) {
  const bool has_servers =
      job.Find(JobRole::kPs) != nullptr || job.Find(JobRole::kEvaluator) != nullptr;
  for (const RoleSpec& role : job.roles) {
    if (!role.program.command.empty()) continue;
    if (engine == EngineKind::kLocal) {
      return Error("{}: command is missing, and a local run has no image that knows it",
                   NameOf(role.role));
    }
    if (has_servers && !job.unsupervised) {
      return Error(
          "{}: command is missing: what only the image knows cannot be supervised, and {} would "
          "not end with the job; write the command, or give --unsupervised",
          NameOf(role.role), job.Find(JobRole::kPs) != nullptr ? "ps" : "evaluator");
    }
  }
  return OkStatus();
}

Status CheckFailures(const RoleSpec& role) {
  const auto& failures = role.failures;
  const bool gives_up =
      failures.at_limit == FailureAction::kGiveUp ||
      std::any_of(failures.rules.begin(), failures.rules.end(),
                  [](const FailureRule& r) { return r.action == FailureAction::kGiveUp; });
  if (gives_up && role.role != JobRole::kWorker) {
    return Error("{}: give_up is for workers: the job cannot go on without a {}", NameOf(role.role),
                 NameOf(role.role));
  }
  return OkStatus();
}

Status CheckLabels(const JobSpec& job) {
  for (const auto& [key, value] : job.labels) {
    RETURN_IF_ERROR(CheckLabelKey("label", key));
    RETURN_IF_ERROR(CheckLabelValue("label " + key, value));
  }
  for (const auto& [key, value] : job.annotations) {
    RETURN_IF_ERROR(CheckLabelKey("annotation", key));
  }
  if (!job.namespace_name.empty()) {
    RETURN_IF_ERROR(CheckObjectName("namespace", job.namespace_name));
  }
  if (!job.cluster_domain.empty()) {
    RETURN_IF_ERROR(CheckObjectName("cluster_domain", job.cluster_domain));
  }
  if (job.gang == GangRoute::kKueue) RETURN_IF_ERROR(CheckLabelValue("queue", job.queue));
  if (job.gang == GangRoute::kKueue && job.queue.empty()) {
    return Error("gang kueue wants a queue");
  }
  if (job.gang_min_tasks > job.task_count()) {
    return Error("minAvailable is {}, the job has {} tasks", job.gang_min_tasks, job.task_count());
  }
  const std::vector<std::string> policies = {"", "Always", "IfNotPresent", "Never"};
  if (std::find(policies.begin(), policies.end(), job.image_pull_policy) == policies.end()) {
    return Error("image_pull_policy '{}', wanted Always, IfNotPresent or Never",
                 job.image_pull_policy);
  }
  return OkStatus();
}

}  // namespace

Status CheckJob(const JobSpec& job, EngineKind engine, std::vector<std::string>* warnings) {
  RETURN_IF_ERROR(CheckJobNames(job));
  RETURN_IF_ERROR(CheckLabels(job));
  for (const RoleSpec& role : job.roles) {
    RETURN_IF_ERROR(CheckProgram(std::string(NameOf(role.role)), role.program, engine));
    RETURN_IF_ERROR(CheckFailures(role));
    if (role.min_available > role.replicas) {
      return Error("{}: min_available {} of {} tasks", NameOf(role.role), role.min_available,
                   role.replicas);
    }
  }
  RETURN_IF_ERROR(CheckSupervision(job, engine));
  if (engine != EngineKind::kLocal) RETURN_IF_ERROR(CheckStorage(job, warnings));
  if (!job.serve.has_value()) return OkStatus();
  if (engine != EngineKind::kKubernetes) {
    warnings->push_back(
        fmt::format("serve is for Kubernetes, {} runs leave it out", NameOf(engine)));
    return OkStatus();
  }
  RETURN_IF_ERROR(CheckProgram("serve", job.serve->program, engine));
  if (job.serve->program.command.empty() && job.serve->program.args.empty() &&
      job.serve->model_path.empty()) {
    return Error("serve: model is missing, and there is no command that names one");
  }
  if (job.serve->autoscale_max > 0 && job.serve->program.resources.cpu.empty()) {
    return Error("serve: autoscale wants cpu, of which it is a percentage");
  }
  if (job.serve->drain_s >= job.serve->stop_timeout_s) {
    return Error("serve: drain {} leaves nothing of stop_timeout {}",
                 DurationText(job.serve->drain_s), DurationText(job.serve->stop_timeout_s));
  }
  return OkStatus();
}

Status CheckStrings(const TaskPlan& task) {
  const auto check = [&](const std::string& what, size_t size_bytes) -> Status {
    if (size_bytes + 1 <= kMaxStringBytes) return OkStatus();
    return Error("{}: {} has {} bytes, the kernel takes {} at most", task.name, what,
                 size_bytes + 1, kMaxStringBytes);
  };
  const auto has_zero = [](const std::string& text) { return text.find('\0') != text.npos; };
  for (const EnvVar& var : task.env) {
    if (has_zero(var.value)) return Error("{}: env {} has a zero byte in it", task.name, var.name);
    RETURN_IF_ERROR(check("env " + var.name, var.name.size() + 1 + var.value.size()));
  }
  for (const auto* words : {&task.command, &task.args}) {
    for (const std::string& word : *words) {
      if (has_zero(word))
        return Error("{}: a word of the command has a zero byte in it", task.name);
      RETURN_IF_ERROR(check(fmt::format("word '{}…'", word.substr(0, 40)), word.size()));
    }
  }
  return OkStatus();
}

}  // namespace capstan
