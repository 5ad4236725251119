// How a pod is, in our states and in words.
#pragma once

#include <string>
#include <vector>

#include "launch/job_status.h"

namespace capstan {

struct PodState {
  std::string name, uid, node;
  std::string container;  // ours: the first
  int index = -1;         // of an Indexed Job; -1: none
  std::string job_name;   // Kubernetes Job
  TaskState state = TaskState::kQueued;
  std::string reason;
  int restarts = 0;  // of its container
  int exit_code = -1;
  double created_s = 0;  // since 1970
  double started_s = 0;  // of the container's run; 0: not yet
  bool evicted = false;  // its place was taken away
  bool has_logs = false;
};

// `pod`: JSON. `events`: JSON of events; those of the pod say what its status does not.
PodState StateOfPod(const std::string& pod, const std::vector<std::string>& events);

// "Insufficient memory" of the scheduler's sentence, and what else it may say, without its counts
// of preemption.
std::string SchedulerWords(const std::string& message);

}  // namespace capstan
