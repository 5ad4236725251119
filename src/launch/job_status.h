// How a job and its tasks are: one set of states on all engines.
//
//   queued → starting → running ⇄ restarting → ending → succeeded
//               suspended (from any of these, and back)  ↘ failed
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "launch/job_spec.h"

namespace capstan {

enum class TaskState {
  kQueued,    // waits for a place: queue, gang, resources
  kStarting,  // has a place: image, volumes, process
  kRunning,
  kRestarting,  // ended, will run again
  kEnding,      // asked to end, or its job is done
  kSuspended,
  kSucceeded,
  kFailed,
};
// "queued", "starting", …
std::string_view NameOf(TaskState state);
// Whether nothing more will happen.
bool IsFinal(TaskState state);

struct TaskStatus {
  std::string name;  // "<job>-<role>-<index>"
  JobRole role = JobRole::kWorker;
  int index = 0;
  TaskState state = TaskState::kQueued;
  std::string address;
  int64_t step = -1;                // -1: not known
  double examples_per_second = -1;  // -1: not known
  int restarts = 0;
  double age_s = 0;    // of this run of the task
  int exit_code = -1;  // of the last end; -1: none yet
  std::string reason;  // one sentence: why it waits, or why it ended
  bool leads = false;  // see TaskPlan
};

struct JobStatus {
  std::string name;
  TaskState state = TaskState::kQueued;
  std::string reason;
  double age_s = 0;
  std::vector<TaskStatus> tasks;  // by role in the order of kJobRoles, then index
};

// The job's state as its tasks give it: failed if one failed for good (a worker that may be lost
// aside: `may_lose_workers`); succeeded if all are final and the leading ones succeeded; ending if
// the leading ones succeeded and others still run; else the least advanced of what goes on.
TaskState StateOfJob(const std::vector<TaskStatus>& tasks, bool may_lose_workers);

}  // namespace capstan
