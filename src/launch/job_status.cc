#include "launch/job_status.h"

#include <algorithm>

namespace capstan {
namespace {

bool Any(const std::vector<TaskStatus>& tasks, TaskState state) {
  return std::any_of(tasks.begin(), tasks.end(),
                     [state](const TaskStatus& task) { return task.state == state; });
}

}  // namespace

std::string_view NameOf(TaskState state) {
  switch (state) {
    case TaskState::kQueued:
      return "queued";
    case TaskState::kStarting:
      return "starting";
    case TaskState::kRunning:
      return "running";
    case TaskState::kRestarting:
      return "restarting";
    case TaskState::kEnding:
      return "ending";
    case TaskState::kSuspended:
      return "suspended";
    case TaskState::kSucceeded:
      return "succeeded";
    case TaskState::kFailed:
      return "failed";
  }
  return "unknown";
}

bool IsFinal(TaskState state) {
  return state == TaskState::kSucceeded || state == TaskState::kFailed;
}

TaskState StateOfJob(const std::vector<TaskStatus>& tasks, bool may_lose_workers) {
  if (tasks.empty()) return TaskState::kQueued;
  bool leaders_succeeded = true;
  bool all_final = true;
  for (const TaskStatus& task : tasks) {
    const bool may_be_lost = may_lose_workers && task.role == JobRole::kWorker && !task.leads;
    if (task.state == TaskState::kFailed && !may_be_lost) return TaskState::kFailed;
    if (task.leads && task.state != TaskState::kSucceeded) leaders_succeeded = false;
    if (!IsFinal(task.state)) all_final = false;
  }
  if (leaders_succeeded) return all_final ? TaskState::kSucceeded : TaskState::kEnding;
  for (const TaskState state : {TaskState::kSuspended, TaskState::kQueued, TaskState::kStarting,
                                TaskState::kRestarting, TaskState::kEnding}) {
    if (Any(tasks, state)) return state;
  }
  return TaskState::kRunning;
}

}  // namespace capstan
