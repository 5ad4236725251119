#include "launch/kubernetes_status.h"

#include <algorithm>
#include <map>
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

// The last warning about a Kubernetes Job: quotas, missing accounts, refused pods.
std::string JobEventWords(const std::string& uid, const std::vector<std::string>& events) {
  std::string words, last;
  for (const std::string& text : events) {
    const Json event = Json::parse(text, nullptr, false);
    if (TextAt(At(event, "involvedObject"), "uid") != uid) continue;
    if (TextAt(event, "reason") != "FailedCreate") continue;
    const std::string time = TextAt(event, "lastTimestamp");
    if (time < last) continue;
    last = time;
    words = TextAt(event, "message");
  }
  return words;
}

class StatusJoiner {
 public:
  StatusJoiner(const JobSnapshot& snapshot, double now_s) : snapshot_(snapshot), now_s_(now_s) {}

  StatusOr<JobStatus> Join(const std::string& job, const std::string& namespace_name) {
    for (const std::string& text : snapshot_.jobs) {
      KubernetesJobState state = StateOfKubernetesJob(text);
      if (state.is_anchor) {
        ASSIGN_OR_RETURN(outline_, OutlineIn(text));
        anchor_ = state;
      }
      jobs_[state.name] = std::move(state);
    }
    if (anchor_.name.empty()) return NotFoundError("there is no job {} of ours", job);
    JobStatus status{.name = job};
    for (TaskPods& entry : TasksOf(job, namespace_name, outline_, snapshot_)) {
      Finish(&entry);
      status.tasks.push_back(std::move(entry.task));
    }
    SetState(&status);
    const double end = anchor_.ended_s > 0 ? anchor_.ended_s : now_s_;
    if (anchor_.created_s > 0) status.age_s = std::max(0.0, end - anchor_.created_s);
    return status;
  }

 private:
  const KubernetesJobState* JobOf(const TaskStatus& task) const {
    const JobOutline::Role* role = outline_.Find(task.role);
    const auto found = role == nullptr ? jobs_.end() : jobs_.find(role->job_name);
    return found == jobs_.end() ? nullptr : &found->second;
  }

  // The index of a task in its Kubernetes Job.
  int IndexOf(const TaskStatus& task) const {
    int first = 0;
    for (const JobOutline::Role& role : outline_.roles) {
      if (role.role == task.role) break;
      if (outline_.one_job) first += role.replicas;
    }
    return first + task.index;
  }

  // What the task's Kubernetes Job knows beyond the pod.
  void Finish(TaskPods* entry) const {
    TaskStatus& task = entry->task;
    if (!entry->pods.empty()) {
      const double since = entry->pods.back().started_s;
      task.age_s = std::max(0.0, now_s_ - (since > 0 ? since : entry->pods.back().created_s));
    }
    const KubernetesJobState* job = JobOf(task);
    if (job == nullptr) {
      task.reason = "the submit was not finished: submit again";
      return;
    }
    const int index = IndexOf(task);
    if (HasIndex(job->completed_indexes, index) || (job->complete && entry->pods.empty())) {
      task.state = TaskState::kSucceeded;
      task.reason.clear();
    } else if (HasIndex(job->failed_indexes, index)) {
      task.state = TaskState::kFailed;
      if (task.reason.empty()) task.reason = "failed more often than it may";
    } else if (job->failed) {
      FinishFailed(*job, entry);
    } else if (job->suspended) {
      const bool ends = task.state == TaskState::kEnding || task.state == TaskState::kRunning;
      task.state = ends ? TaskState::kEnding : TaskState::kSuspended;
      task.reason.clear();
    } else if (entry->pods.empty()) {
      task.state = TaskState::kQueued;
      task.reason = JobEventWords(job->uid, snapshot_.events);
      if (task.reason.empty()) task.reason = "its pod is not made yet";
    } else if (task.state == TaskState::kFailed) {
      // The Job goes on: another pod will come.
      task.state = TaskState::kRestarting;
    }
  }

  // Pods that still run are ended; those that failed have said why.
  void FinishFailed(const KubernetesJobState& job, TaskPods* entry) const {
    TaskStatus& task = entry->task;
    const bool lives = task.state == TaskState::kRunning || task.state == TaskState::kEnding;
    if (lives) {
      task.state = TaskState::kEnding;
    } else if (task.state != TaskState::kSucceeded) {
      task.state = TaskState::kFailed;
    }
    if (task.reason.empty() && task.state != TaskState::kSucceeded) task.reason = job.reason;
  }

  void SetState(JobStatus* status) const {
    status->state = StateOfJob(status->tasks, outline_.dynamic_workers);
    if (anchor_.deleted) {
      status->state = TaskState::kEnding;
      status->reason = "is being deleted";
      return;
    }
    const KubernetesJobState* failed = FailedJob();
    if (failed != nullptr && !anchor_.complete) {
      status->state = TaskState::kFailed;
      status->reason = ReasonOfFailure(*status, *failed);
      return;
    }
    if (anchor_.suspended && !IsFinal(status->state)) {
      const bool unfinished = !anchor_.wanted_suspended;
      status->reason = unfinished ? "the submit was not finished, or a queue holds the job" : "";
    }
    if (status->reason.empty()) status->reason = ReasonOfWaiting(*status);
  }

  const KubernetesJobState* FailedJob() const {
    if (anchor_.failed) return &anchor_;
    for (const auto& [name, job] : jobs_) {
      if (job.failed) return &job;
    }
    return nullptr;
  }

  // The task that failed tells more than the Kubernetes Job.
  static std::string ReasonOfFailure(const JobStatus& status, const KubernetesJobState& job) {
    for (const TaskStatus& task : status.tasks) {
      if (task.state == TaskState::kFailed && task.exit_code > 0 && !task.reason.empty()) {
        return fmt::format("{} {}", task.name, task.reason);
      }
    }
    return fmt::format("{}: {}", job.name, job.reason);
  }

  // The first of those that wait with a reason, and how many hold a place meanwhile.
  std::string ReasonOfWaiting(const JobStatus& status) const {
    size_t placed = 0, waiting = 0;
    const TaskStatus* first = nullptr;
    for (const TaskStatus& task : status.tasks) {
      const bool waits = task.state == TaskState::kQueued || task.state == TaskState::kStarting ||
                         task.state == TaskState::kRestarting;
      placed += task.state == TaskState::kRunning || task.state == TaskState::kStarting ? 1 : 0;
      waiting += task.state == TaskState::kQueued ? 1 : 0;
      if (waits && !task.reason.empty() && (first == nullptr || first->state != task.state)) {
        if (first == nullptr || task.state == TaskState::kQueued) first = &task;
      }
    }
    if (first == nullptr) return "";
    std::string words = fmt::format("{} {}", first->name, first->reason);
    if (waiting > 0 && placed > 0) {
      words += fmt::format("; {} of {} tasks hold a place, {} wait", placed, status.tasks.size(),
                           waiting);
    }
    return words;
  }

  const JobSnapshot& snapshot_;
  const double now_s_;
  JobOutline outline_;
  KubernetesJobState anchor_;
  std::map<std::string, KubernetesJobState> jobs_;
};

}  // namespace

std::vector<TaskPods> TasksOf(const std::string& job, const std::string& namespace_name,
                              const JobOutline& outline, const JobSnapshot& snapshot) {
  std::map<std::pair<std::string, int>, std::vector<PodState>> pods;  // by Kubernetes Job, index
  for (const std::string& text : snapshot.pods) {
    PodState pod = StateOfPod(text, snapshot.events);
    if (pod.index >= 0) pods[{pod.job_name, pod.index}].push_back(std::move(pod));
  }
  std::map<std::string, int> completions;  // after `scale`
  for (const std::string& text : snapshot.jobs) {
    const KubernetesJobState state = StateOfKubernetesJob(text);
    completions[state.name] = state.completions;
  }
  std::vector<TaskPods> tasks;
  int first = 0;
  for (const JobOutline::Role& role : outline.roles) {
    int replicas = role.replicas;
    if (!outline.one_job && completions[role.job_name] > 0) replicas = completions[role.job_name];
    for (int i = 0; i < replicas; ++i) {
      TaskPods& entry = tasks.emplace_back();
      TaskStatus& task = entry.task;
      task.name = fmt::format("{}-{}-{}", job, NameOf(role.role), i);
      task.role = role.role;
      task.index = i;
      task.leads = role.leading == role.replicas || i < role.leading;
      const int index = first + i;
      task.address =
          fmt::format("{}-{}.{}.{}.svc{}{}:{}", role.job_name, index, job, namespace_name,
                      outline.cluster_domain.empty() ? "" : ".", outline.cluster_domain, role.port);
      entry.pods = pods[{role.job_name, index}];
      std::sort(entry.pods.begin(), entry.pods.end(), [](const PodState& a, const PodState& b) {
        return std::tie(a.created_s, a.name) < std::tie(b.created_s, b.name);
      });
      for (const PodState& pod : entry.pods) task.restarts += pod.restarts + 1;
      if (entry.pods.empty()) continue;
      const PodState& last = entry.pods.back();
      --task.restarts;
      task.state = last.state;
      task.reason = last.reason;
      for (const PodState& pod : entry.pods) {
        if (pod.exit_code >= 0) task.exit_code = pod.exit_code;
      }
    }
    if (outline.one_job) first += role.replicas;
  }
  return tasks;
}

StatusOr<JobStatus> StatusOfSnapshot(const std::string& job, const std::string& namespace_name,
                                     const JobSnapshot& snapshot, double now_s) {
  return StatusJoiner(snapshot, now_s).Join(job, namespace_name);
}

}  // namespace capstan
