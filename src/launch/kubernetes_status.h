// Jobs, pods and events of a cluster joined into the status of one job.
#pragma once

#include <string>
#include <vector>

#include "launch/job_outline.h"
#include "launch/job_status.h"
#include "launch/pod_state.h"

namespace capstan {

// What the API server gives of one job, each JSON.
struct JobSnapshot {
  std::vector<std::string> jobs;    // Kubernetes Jobs with the job's label
  std::vector<std::string> pods;    // pods with the job's label
  std::vector<std::string> events;  // of pods and Jobs; may be left out
};

// One task and the pods that were made for it, oldest first.
struct TaskPods {
  TaskStatus task;
  std::vector<PodState> pods;
};

// The tasks of the outline, by role, with their pods.
std::vector<TaskPods> TasksOf(const std::string& job, const std::string& namespace_name,
                              const JobOutline& outline, const JobSnapshot& snapshot);

// `now_s`: seconds since 1970. kNotFound: no Job of the snapshot has an outline.
StatusOr<JobStatus> StatusOfSnapshot(const std::string& job, const std::string& namespace_name,
                                     const JobSnapshot& snapshot, double now_s);

// How a Kubernetes Job is.
struct KubernetesJobState {
  std::string name, uid;
  bool is_anchor = false;
  bool suspended = false;  // by its spec
  bool wanted_suspended = false;
  bool complete = false, failed = false;
  std::string reason;  // why it failed, in words
  int completions = 0;
  std::string completed_indexes, failed_indexes;  // "0-2,5"
  double created_s = 0, ended_s = 0;
  bool deleted = false;
};
KubernetesJobState StateOfKubernetesJob(const std::string& json);

// Whether "0-2,5" has the index.
bool HasIndex(const std::string& ranges, int index);

}  // namespace capstan
