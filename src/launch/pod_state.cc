#include "launch/pod_state.h"

#include <algorithm>
#include <cstdlib>
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

int IntAt(const Json& object, const char* key, int otherwise) {
  const Json& value = At(object, key);
  return value.is_number_integer() ? value.get<int>() : otherwise;
}

const Json& Condition(const Json& status, const char* type) {
  static const Json& nothing = *new Json();
  for (const Json& condition : At(status, "conditions")) {
    if (TextAt(condition, "type") == type) return condition;
  }
  return nothing;
}

std::string Join(const std::string& first, const std::string& second) {
  return first.empty() || second.empty() ? first + second : first + ": " + second;
}

// Why a container does not run.
std::string WaitingWords(const Json& waiting, const std::string& image) {
  const std::string reason = TextAt(waiting, "reason");
  const std::string message = TextAt(waiting, "message");
  if (reason == "ErrImageNeverPull") {
    return fmt::format("image {} is not on the node, and may not be pulled", image);
  }
  if (reason == "ImagePullBackOff" || reason == "ErrImagePull") {
    return Join(fmt::format("image {} cannot be pulled", image), message);
  }
  if (reason == "InvalidImageName") return fmt::format("\"{}\" is no name of an image", image);
  if (reason == "ContainerCreating" || reason == "PodInitializing" || reason.empty()) return "";
  if (reason == "CrashLoopBackOff") return "waits before it runs again";
  return Join(reason, message);
}

std::string MemoryLimit(const Json& pod, const std::string& container) {
  for (const Json& entry : At(At(pod, "spec"), "containers")) {
    if (TextAt(entry, "name") == container) {
      return TextAt(At(At(entry, "resources"), "limits"), "memory");
    }
  }
  return "";
}

std::string TerminatedWords(const Json& pod, const std::string& container, const Json& terminated) {
  const int code = IntAt(terminated, "exitCode", -1);
  const std::string reason = TextAt(terminated, "reason");
  const std::string message = TextAt(terminated, "message");
  if (reason == "OOMKilled") {
    const std::string limit = MemoryLimit(pod, container);
    return limit.empty() ? "out of memory" : fmt::format("out of memory: its limit is {}", limit);
  }
  if (code == 0) return "";
  if (reason == "StartError" || reason == "ContainerCannotRun") {
    return Join("the command cannot be started", message);
  }
  if (code > 128 && code < 160) return fmt::format("ended by signal {}", code - 128);
  return Join(fmt::format("exited with code {}", code), message);
}

// The last warning about the pod that explains why it does not start.
std::string EventWords(const std::string& uid, const std::vector<std::string>& events) {
  std::string words, last;
  for (const std::string& text : events) {
    const Json event = Json::parse(text, nullptr, false);
    if (TextAt(At(event, "involvedObject"), "uid") != uid || TextAt(event, "type") != "Warning") {
      continue;
    }
    const std::string reason = TextAt(event, "reason");
    if (reason != "FailedMount" && reason != "FailedAttachVolume" &&
        reason != "FailedCreatePodSandBox" && reason != "FailedToCreateEndpoint") {
      continue;
    }
    std::string time = TextAt(event, "lastTimestamp");
    if (time.empty()) time = TextAt(event, "eventTime");
    if (time >= last) {
      last = time;
      words = TextAt(event, "message");
    }
  }
  return words;
}

class PodReader {
 public:
  PodReader(const Json& pod, const std::vector<std::string>& events, PodState* state)
      : pod_(pod), status_(At(pod, "status")), events_(events), state_(state) {}

  void Read() {
    ReadMetadata();
    const std::string phase = TextAt(status_, "phase");
    if (phase == "Pending" || phase.empty()) ReadPending();
    ReadContainers();
    if (phase == "Running") ReadRunning();
    if (phase == "Succeeded") {
      state_->state = TaskState::kSucceeded;
      state_->reason.clear();
    }
    if (phase == "Failed") ReadFailed();
    if (phase == "Unknown") {
      state_->state = TaskState::kRestarting;
      state_->reason = fmt::format("node {} does not answer", state_->node);
    }
    ReadDeletion(phase);
  }

 private:
  void ReadMetadata() {
    const Json& metadata = At(pod_, "metadata");
    state_->name = TextAt(metadata, "name");
    state_->uid = TextAt(metadata, "uid");
    state_->node = TextAt(At(pod_, "spec"), "nodeName");
    const Json& containers = At(At(pod_, "spec"), "containers");
    if (containers.is_array() && !containers.empty()) {
      state_->container = TextAt(containers[0], "name");
    }
    state_->created_s = TimeAt(metadata, "creationTimestamp");
    const std::string index =
        TextAt(At(metadata, "annotations"), "batch.kubernetes.io/job-completion-index");
    if (!index.empty()) state_->index = std::atoi(index.c_str());
    state_->job_name = TextAt(At(metadata, "labels"), "batch.kubernetes.io/job-name");
    if (state_->job_name.empty()) state_->job_name = TextAt(At(metadata, "labels"), "job-name");
  }

  void ReadPending() {
    const Json& scheduled = Condition(status_, "PodScheduled");
    if (TextAt(scheduled, "status") == "True") {
      state_->state = TaskState::kStarting;
      state_->reason = EventWords(state_->uid, events_);
      return;
    }
    state_->state = TaskState::kQueued;
    state_->reason = TextAt(scheduled, "reason") == "SchedulingGated"
                         ? "is held back by a scheduling gate"
                         : SchedulerWords(TextAt(scheduled, "message"));
  }

  void ReadContainers() {
    for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
      for (const Json& container : At(status_, list)) ReadContainer(container, list[0] == 'i');
    }
  }

  void ReadContainer(const Json& container, bool init) {
    const Json& now = At(container, "state");
    const std::string words = WaitingWords(At(now, "waiting"), TextAt(container, "image"));
    if (!words.empty()) state_->reason = words;
    if (init) {
      ReadInitContainer(container);
      return;
    }
    state_->restarts += IntAt(container, "restartCount", 0);
    state_->started_s = std::max(state_->started_s, TimeAt(At(now, "running"), "startedAt"));
    const Json& before = At(At(container, "lastState"), "terminated");
    const Json& ended = At(now, "terminated").is_object() ? At(now, "terminated") : before;
    state_->has_logs = state_->has_logs || ended.is_object() || At(now, "running").is_object();
    if (ended.is_object() && IntAt(ended, "exitCode", 0) != 0) {
      const std::string name = TextAt(container, "name");
      end_words_ = TerminatedWords(pod_, name, ended);
      state_->exit_code = IntAt(ended, "exitCode", -1);
    } else if (ended.is_object() && state_->exit_code < 0) {
      state_->exit_code = 0;
    }
    runs_ = runs_ || At(now, "running").is_object();
  }

  void ReadInitContainer(const Json& container) {
    for (const char* key : {"lastState", "state"}) {
      const Json& ended = At(At(container, key), "terminated");
      if (!ended.is_object() || IntAt(ended, "exitCode", 0) == 0) continue;
      const std::string name = TextAt(container, "name");
      end_words_ = fmt::format("init container {}: {}", name, TerminatedWords(pod_, name, ended));
      state_->exit_code = IntAt(ended, "exitCode", -1);
    }
  }

  void ReadRunning() {
    state_->state = runs_ ? TaskState::kRunning : TaskState::kRestarting;
    if (runs_) {
      state_->reason.clear();
    } else {
      state_->reason = end_words_.empty() ? state_->reason : end_words_;
    }
  }

  void ReadFailed() {
    state_->state = TaskState::kFailed;
    state_->reason = end_words_;
    const std::string reason = TextAt(status_, "reason"), message = TextAt(status_, "message");
    if (state_->reason.empty()) state_->reason = Join(reason, message);
    ReadDisruption();
  }

  // Its place was taken away: preemption, drain, a lost node.
  void ReadDisruption() {
    const Json& disrupted = Condition(status_, "DisruptionTarget");
    if (TextAt(disrupted, "status") != "True") return;
    state_->evicted = true;
    const std::string reason = TextAt(disrupted, "reason");
    if (reason == "PreemptionByScheduler") {
      state_->reason = "had to make room for a pod of higher priority";
    } else if (reason == "DeletionByTaintManager") {
      state_->reason = fmt::format("node {} was lost or tainted", state_->node);
    } else if (reason == "EvictionByEvictionAPI") {
      state_->reason = fmt::format("was evicted from node {}", state_->node);
    } else {
      state_->reason = Join("lost its place", TextAt(disrupted, "message"));
    }
  }

  void ReadDeletion(const std::string& phase) {
    if (TextAt(At(pod_, "metadata"), "deletionTimestamp").empty()) return;
    if (phase == "Succeeded" || phase == "Failed") return;
    state_->state = TaskState::kEnding;
    state_->reason = "is asked to end";
    ReadDisruption();
    if (TextAt(status_, "reason") == "NodeLost") {
      state_->reason = fmt::format(
          "node {} is lost: a replacement waits until it is back, or is "
          "removed from the cluster",
          state_->node);
    }
  }

  const Json& pod_;
  const Json& status_;
  const std::vector<std::string>& events_;
  PodState* const state_;
  std::string end_words_;
  bool runs_ = false;
};

}  // namespace

std::string SchedulerWords(const std::string& message) {
  // "0/1 nodes are available: 1 Insufficient memory. no new claims to deallocate, preemption: …"
  std::string words = message.substr(0, message.find(". "));
  while (words.ends_with('.') || words.ends_with(' ')) words.pop_back();
  return words.empty() ? "waits for a node" : "waits for a node: " + words;
}

PodState StateOfPod(const std::string& pod, const std::vector<std::string>& events) {
  PodState state;
  const Json json = Json::parse(pod, nullptr, false);
  PodReader(json, events, &state).Read();
  return state;
}

}  // namespace capstan
