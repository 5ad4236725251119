// A job as processes of this machine: JobRun with child processes, their logs, and a socket for
// other terminals. The processes live no longer than this one.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "launch/control_socket.h"
#include "launch/job_run.h"
#include "launch/plan.h"
#include "launch/run_folder.h"
#include "launch/task_log.h"

namespace capstan {

struct LocalJobOptions {
  std::string run_root;      // see RunRoot
  std::string capstan_path;  // the program that a command's `capstan` means
  // For CUDA_VISIBLE_DEVICES; tasks that want gpus get disjoint ones, in order.
  std::vector<std::string> gpus;
  Clock* clock = nullptr;  // must outlive the job
};

class LocalJob {
 public:
  // Checks what only this machine knows, and takes the job's folder. Nothing is started yet.
  static StatusOr<std::unique_ptr<LocalJob>> Make(const Plan& plan, const LocalJobOptions& options);
  ~LocalJob();

  // Starts the tasks; returns when the job is over. On one thread.
  void Run();
  // From any thread: Run() kills the tasks and returns.
  void Abort() { abort_ = true; }
  // From any thread.
  JobStatus LastStatus() const;

 private:
  struct Task {
    TaskPlan plan;
    ChildOptions program;
    std::unique_ptr<ChildProcess> process;
    std::unique_ptr<TaskLogWriter> log;
    LineCutter out, err;
    bool out_open = false, err_open = false;
  };

  LocalJob(const Plan& plan, const LocalJobOptions& options);
  JobRun::Time Now() { return options_.clock->Monotonic(); }
  Status PrepareToken(Plan* plan);
  Status PrepareTasks(const Plan& plan);
  void Act(const JobRun::Action& action);
  void Wait();
  void ReadOutput(int number, int fd, LineCutter* lines, bool* open);
  void TakeEnd(int number);
  std::string Answer(const std::string& question);
  void Publish();

  const LocalJobOptions options_;
  std::unique_ptr<RunFolderLock> lock_;
  std::unique_ptr<ControlSocket> control_;
  std::vector<Task> tasks_;
  JobRun run_;
  std::atomic<bool> abort_ = false;
  JobRun::Time published_at_{0};

  mutable Mutex mutex_;
  JobStatus last_ GUARDED_BY(mutex_);
};

}  // namespace capstan
