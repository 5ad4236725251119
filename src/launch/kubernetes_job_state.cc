#include <cstdio>
#include <cstdlib>

#include "launch/kubernetes_status.h"
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

std::string FailureWords(const Json& condition, const Json& spec) {
  const std::string reason = TextAt(condition, "reason"), message = TextAt(condition, "message");
  if (reason == "DeadlineExceeded") {
    const Json& deadline = At(spec, "activeDeadlineSeconds");
    return deadline.is_number() ? fmt::format("was not done within {} s", deadline.get<int64_t>())
                                : "was not done in time";
  }
  if (reason == "BackoffLimitExceeded") return "a task failed more often than it may";
  if (reason == "FailedIndexes" || reason == "MaxFailedIndexesExceeded") {
    return "a task failed more often than it may: " + message;
  }
  return message.empty() ? reason : message;
}

}  // namespace

KubernetesJobState StateOfKubernetesJob(const std::string& json) {
  KubernetesJobState state;
  const Json job = Json::parse(json, nullptr, false);
  const Json &metadata = At(job, "metadata"), &spec = At(job, "spec"), &status = At(job, "status");
  const Json& annotations = At(metadata, "annotations");
  state.name = TextAt(metadata, "name");
  state.uid = TextAt(metadata, "uid");
  state.is_anchor = !TextAt(annotations, kOutlineAnnotation).empty();
  state.suspended = At(spec, "suspend") == true;
  state.wanted_suspended = TextAt(annotations, kSuspendedAnnotation) == "true";
  state.deleted = !TextAt(metadata, "deletionTimestamp").empty();
  const Json& completions = At(spec, "completions");
  state.completions = completions.is_number_integer() ? completions.get<int>() : 0;
  state.completed_indexes = TextAt(status, "completedIndexes");
  state.failed_indexes = TextAt(status, "failedIndexes");
  state.created_s = TimeAt(metadata, "creationTimestamp");
  for (const Json& condition : At(status, "conditions")) {
    if (TextAt(condition, "status") != "True") continue;
    const std::string type = TextAt(condition, "type");
    // "SuccessCriteriaMet" and "FailureTarget" come first: the outcome is known, pods still end.
    if (type == "Complete") state.complete = true;
    if (type == "Failed" || type == "FailureTarget") {
      state.failed = true;
      state.reason = FailureWords(condition, spec);
    }
    if (type == "Complete" || type == "Failed") {
      state.ended_s = TimeAt(condition, "lastTransitionTime");
    }
  }
  return state;
}

bool HasIndex(const std::string& ranges, int index) {
  const char* at = ranges.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    const long first = std::strtol(at, &end, 10);
    if (end == at) return false;
    long last = first;
    if (*end == '-') last = std::strtol(end + 1, &end, 10);
    if (index >= first && index <= last) return true;
    if (*end != ',') return false;
    at = end + 1;
  }
  return false;
}

}  // namespace capstan
