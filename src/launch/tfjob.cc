#include "launch/tfjob.h"

#include <algorithm>
#include <cctype>
#include <optional>

#include "base/nearest.h"
#include "launch/task_template.h"
#include "launch/yaml_json.h"

namespace capstan {
namespace {

constexpr int kMaxReplicas = 65'536;
constexpr char kQueueLabel[] = "kueue.x-k8s.io/queue-name";

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// The operator, too, takes the names of roles in any case.
std::optional<JobRole> RoleOfKey(const std::string& key) {
  const std::string name = Lower(key);
  if (name == "ps") return JobRole::kPs;
  if (name == "worker") return JobRole::kWorker;
  if (name == "chief" || name == "master") return JobRole::kChief;
  if (name == "evaluator") return JobRole::kEvaluator;
  return std::nullopt;
}

Status GetWord(const YamlNode& node, const std::vector<std::string>& words, std::string* word) {
  RETURN_IF_ERROR(node.Get(word));
  if (!node.exists() || std::find(words.begin(), words.end(), *word) != words.end()) {
    return OkStatus();
  }
  return node.ErrorHere(fmt::format("unknown '{}', wanted one of {}{}", *word,
                                    fmt::join(words, ", "), NearestHint(*word, words)));
}

Status GetSeconds(const YamlNode& node, int64_t least, int64_t* seconds) {
  RETURN_IF_ERROR(node.Get(seconds));
  if (node.exists() && *seconds < least) {
    return node.ErrorHere(fmt::format("found {}, wanted at least {}", *seconds, least));
  }
  return OkStatus();
}

Status GetCount(const YamlNode& node, int least, int* count) {
  RETURN_IF_ERROR(node.Get(count));
  if (node.exists() && (*count < least || *count > kMaxReplicas)) {
    return node.ErrorHere(fmt::format("found {}, wanted {} to {}", *count, least, kMaxReplicas));
  }
  return OkStatus();
}

Status GetTexts(const YamlNode& node, std::map<std::string, std::string>* texts) {
  if (!node.exists()) return OkStatus();
  RETURN_IF_ERROR(node.CheckKeys(node.keys()));
  for (const std::string& key : node.keys()) RETURN_IF_ERROR(node[key].Get(&(*texts)[key]));
  return OkStatus();
}

Status ParseMetadata(const YamlNode& node, JobSpec* job) {
  RETURN_IF_ERROR(node.CheckKeys({"name", "namespace", "labels", "annotations", "generateName",
                                  // What a server adds to what it is given.
                                  "uid", "resourceVersion", "generation", "creationTimestamp",
                                  "managedFields", "selfLink"}));
  if (node["generateName"].exists()) {
    return node["generateName"].ErrorHere(
        "metadata.generateName: addresses need a name that is known before, wanted metadata.name");
  }
  RETURN_IF_ERROR(node["name"].Get(&job->name));
  RETURN_IF_ERROR(node["namespace"].Get(&job->namespace_name));
  RETURN_IF_ERROR(GetTexts(node["labels"], &job->labels));
  RETURN_IF_ERROR(GetTexts(node["annotations"], &job->annotations));
  job->annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
  if (job->name.empty()) return node.ErrorHere("metadata.name is missing");
  if (const auto queue = job->labels.find(kQueueLabel); queue != job->labels.end()) {
    job->gang = GangRoute::kKueue;
    job->queue = queue->second;
    job->labels.erase(queue);
  }
  return OkStatus();
}

Status ParseSchedulingPolicy(const YamlNode& node, JobSpec* job) {
  if (!node.exists()) return OkStatus();
  RETURN_IF_ERROR(node.CheckKeys(
      {"minAvailable", "queue", "minResources", "priorityClass", "scheduleTimeoutSeconds"}));
  RETURN_IF_ERROR(GetCount(node["minAvailable"], 1, &job->gang_min_tasks));
  std::string queue;
  RETURN_IF_ERROR(node["queue"].Get(&queue));
  if (!queue.empty()) job->queue = queue;
  RETURN_IF_ERROR(node["priorityClass"].Get(&job->priority_class));
  RETURN_IF_ERROR(GetSeconds(node["scheduleTimeoutSeconds"], 1, &job->start_timeout_s));
  if (node["minResources"].exists()) {
    return node["minResources"].ErrorHere(
        "schedulingPolicy.minResources: the group's resources are summed from its tasks");
  }
  return OkStatus();
}

Status ParseRunPolicy(const YamlNode& node, JobSpec* job, int* backoff_limit) {
  if (!node.exists()) return OkStatus();
  RETURN_IF_ERROR(
      node.CheckKeys({"cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds",
                      "backoffLimit", "suspend", "schedulingPolicy", "managedBy"}));
  std::string clean = "None";
  RETURN_IF_ERROR(GetWord(node["cleanPodPolicy"], {"None", "Running", "All"}, &clean));
  RETURN_IF_ERROR(GetSeconds(node["ttlSecondsAfterFinished"], 0, &job->time_to_live_s));
  RETURN_IF_ERROR(GetSeconds(node["activeDeadlineSeconds"], 1, &job->deadline_s));
  RETURN_IF_ERROR(GetCount(node["backoffLimit"], 0, backoff_limit));
  RETURN_IF_ERROR(node["suspend"].Get(&job->suspended));
  std::string managed_by;
  RETURN_IF_ERROR(node["managedBy"].Get(&managed_by));
  if (!managed_by.empty() && managed_by != "kubeflow.org/training-operator") {
    return node["managedBy"].ErrorHere(
        fmt::format("runPolicy.managedBy '{}' hands the job to another cluster, which needs its "
                    "operator",
                    managed_by));
  }
  if (clean == "All" && job->time_to_live_s < 0) {
    return node["cleanPodPolicy"].ErrorHere(
        "runPolicy.cleanPodPolicy All: pods stay with their logs until the job is deleted; give "
        "ttlSecondsAfterFinished, which deletes them, or Running");
  }
  return ParseSchedulingPolicy(node["schedulingPolicy"], job);
}

FailureTable TableOf(const std::string& restart_policy, int backoff_limit) {
  FailureTable table{.retry_limit = backoff_limit};
  if (restart_policy == "Never") {
    table.rules = {{.first = 1, .last = 255, .action = FailureAction::kFailJob}};
    table.retry_limit = 0;
  } else if (restart_policy != "ExitCode") {
    table.rules = {{.first = 1, .last = 255, .action = FailureAction::kRetry}};
  }
  return table;
}

// With enableDynamicWorker a worker's failure is the worker's own.
void LetWorkersGo(FailureTable* table) {
  std::vector<FailureRule> ranges = table->Ranges();
  for (FailureRule& range : ranges) {
    if (range.action == FailureAction::kFailJob) range.action = FailureAction::kGiveUp;
  }
  table->rules = std::move(ranges);
  table->at_limit = FailureAction::kGiveUp;
}

Status ParseReplicas(const YamlNode& node, JobRole role, int backoff_limit, JobSpec* job) {
  RETURN_IF_ERROR(node.CheckKeys({"replicas", "template", "restartPolicy"}));
  RoleSpec spec{.role = role, .stop_timeout_s = 30};  // Kubernetes' own grace period
  RETURN_IF_ERROR(GetCount(node["replicas"], 0, &spec.replicas));
  if (spec.replicas == 0) return OkStatus();
  if (role == JobRole::kChief && spec.replicas > 1) {
    return node["replicas"].ErrorHere(fmt::format("{} chiefs, wanted 1", spec.replicas));
  }
  std::string restart_policy = "Never";
  RETURN_IF_ERROR(GetWord(node["restartPolicy"], {"Always", "OnFailure", "Never", "ExitCode"},
                          &restart_policy));
  spec.failures = TableOf(restart_policy, backoff_limit);
  if (restart_policy == "Always") {
    job->warnings.push_back(
        fmt::format("{}: restartPolicy Always restarts after failures; an exit with 0 is an end",
                    NameOf(role)));
  }
  if (!node["template"].exists()) return node.ErrorHere("template is missing");
  ASSIGN_OR_RETURN(const std::string json, JsonOfYaml(node["template"]));
  const Status taken = TakeTaskTemplate(json, "tensorflow", "tfjob-port", &spec);
  if (!taken.ok()) return node.ErrorHere(fmt::format("{}: {}", NameOf(role), Message(taken)));
  job->roles.push_back(std::move(spec));
  return OkStatus();
}

Status ParseRoles(const YamlNode& node, int backoff_limit, JobSpec* job) {
  if (!node.is_map()) return Error("{}: tfReplicaSpecs is missing or no map", job->name);
  const std::vector<std::string> known = {"PS", "Worker", "Chief", "Master", "Evaluator"};
  std::map<JobRole, std::string> keys;  // in the order of kJobRoles
  for (const std::string& key : node.keys()) {
    const auto role = RoleOfKey(key);
    if (!role.has_value()) {
      return node[key].ErrorHere(
          fmt::format("unknown role '{}' in tfReplicaSpecs, wanted one of {}{}", key,
                      fmt::join(known, ", "), NearestHint(key, known)));
    }
    if (!keys.emplace(*role, key).second) {
      return node[key].ErrorHere(
          fmt::format("tfReplicaSpecs has both {} and {}", keys[*role], key));
    }
  }
  for (const auto& [role, key] : keys) {
    if (!node[key].exists()) return node.ErrorHere(fmt::format("tfReplicaSpecs.{} is empty", key));
    RETURN_IF_ERROR(ParseReplicas(node[key], role, backoff_limit, job));
  }
  if (job->Find(JobRole::kChief) == nullptr && job->Find(JobRole::kWorker) == nullptr) {
    return node.ErrorHere("tfReplicaSpecs names neither Worker nor Chief, one of which leads");
  }
  return OkStatus();
}

}  // namespace

StatusOr<JobSpec> ParseTfJob(const YamlNode& manifest) {
  RETURN_IF_ERROR(manifest.CheckKeys({"apiVersion", "kind", "metadata", "spec", "status"}));
  const YamlNode spec = manifest["spec"];
  for (const char* key : {"metadata", "spec"}) {
    if (!manifest[key].is_map()) return manifest.ErrorHere(fmt::format("{} is missing", key));
  }
  JobSpec job;
  job.is_manifest = true;
  job.start_timeout_s = 0;  // TFJob has none of its own
  RETURN_IF_ERROR(ParseMetadata(manifest["metadata"], &job));
  RETURN_IF_ERROR(
      spec.CheckKeys({"tfReplicaSpecs", "runPolicy", "successPolicy", "enableDynamicWorker"}));
  int backoff_limit = FailureTable().retry_limit;
  RETURN_IF_ERROR(ParseRunPolicy(spec["runPolicy"], &job, &backoff_limit));
  RETURN_IF_ERROR(spec["enableDynamicWorker"].Get(&job.dynamic_workers));
  if (!spec["tfReplicaSpecs"].exists()) return spec.ErrorHere("tfReplicaSpecs is missing");
  RETURN_IF_ERROR(ParseRoles(spec["tfReplicaSpecs"], backoff_limit, &job));
  std::string success;
  RETURN_IF_ERROR(GetWord(spec["successPolicy"], {"", "AllWorkers"}, &success));
  // A chief's end is the job's end whatever the policy says.
  if (success == "AllWorkers" && job.Find(JobRole::kChief) == nullptr) {
    job.done_when = DoneWhen::kAllWorkers;
  }
  for (RoleSpec& role : job.roles) {
    if (role.role == JobRole::kWorker && job.dynamic_workers) LetWorkersGo(&role.failures);
  }
  return job;
}

}  // namespace capstan
