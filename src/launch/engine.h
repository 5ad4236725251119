// What carries a plan out: processes of this machine, Docker containers, or Kubernetes.
//
// An engine knows jobs by name and keeps no state of its own that a second call from another
// process could not find: status, logs, scale, … work on jobs that somebody else submitted. All
// verbs may be repeated; after a kill in the middle, the same call again completes the work.
// One thread at a time, but for `stop` functions, which are called from the same thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "launch/job_status.h"
#include "launch/plan.h"

namespace capstan {

struct LogOptions {
  bool follow = false;             // until the job has ended, or `stop` says so
  std::vector<std::string> tasks;  // names; empty: all
  int64_t tail_lines = -1;         // of each task; -1: all
  std::function<bool()> stop = [] { return false; };
};
// A line without its end, and the task that wrote it.
using LogSink = std::function<void(const std::string& task, std::string_view line)>;

class Engine {
 public:
  virtual ~Engine() = default;
  virtual EngineKind kind() const = 0;

  // Starts the job. The same plan again is a no-op that completes what is missing; another plan
  // under the name of a job that is there is kAlreadyExists and names the difference.
  virtual Status Submit(const Plan& plan) = 0;
  // kNotFound names the job and the engine, here and below.
  virtual StatusOr<JobStatus> GetStatus(const std::string& job) = 0;
  // All jobs that are there, by name; without tasks.
  virtual StatusOr<std::vector<JobStatus>> List() = 0;
  virtual Status Logs(const std::string& job, const LogOptions& options, const LogSink& sink) = 0;
  // kInvalidArgument where a role cannot change its number, with the reason.
  virtual Status Scale(const std::string& job, JobRole role, int replicas) = 0;
  // Ends the tasks (they save), keeps the job.
  virtual Status Suspend(const std::string& job) = 0;
  virtual Status Resume(const std::string& job) = 0;
  // Ends the tasks and removes everything of the job but what is on volumes.
  virtual Status Delete(const std::string& job) = 0;
};

}  // namespace capstan
