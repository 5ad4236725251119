#include "launch/local_engine.h"

#include <poll.h>

#include <algorithm>

#include "base/file_system.h"
#include "launch/status_json.h"

namespace capstan {
namespace {

constexpr int kLogPollMs = 50;
// Above any stop timeout that leaves somebody waiting in front of a terminal.
constexpr int64_t kDeleteTimeoutMs = 3'600'000;

// The job's process was killed: what it said last is not how it is now.
JobStatus Orphaned(JobStatus status) {
  if (IsFinal(status.state)) return status;
  status.state = TaskState::kFailed;
  status.reason = "the capstan that ran it is gone, and its tasks with it";
  for (TaskStatus& task : status.tasks) {
    if (!IsFinal(task.state)) task.state = TaskState::kFailed;
  }
  return status;
}

}  // namespace

LocalEngine::~LocalEngine() {
  if (job_ != nullptr) job_->Abort();
  if (thread_.joinable()) thread_.join();
}

Status LocalEngine::Submit(const Plan& plan) {
  if (job_ != nullptr) return Error("job {} was submitted already", job_name_);
  ASSIGN_OR_RETURN(job_, LocalJob::Make(plan, options_));
  job_name_ = plan.spec.name;
  thread_ = std::thread([this] { job_->Run(); });
  return OkStatus();
}

StatusOr<RunFolder> LocalEngine::Find(const std::string& job) const {
  RunFolder folder(options_.run_root, job);
  if (job.find('/') != std::string::npos || job.starts_with('.') || !folder.Exists()) {
    const std::vector<std::string> known = JobsIn(options_.run_root);
    return NotFoundError(
        "no job {} of this user on this machine (engine local){}", job,
        known.empty() ? std::string() : fmt::format("; there are {}", fmt::join(known, ", ")));
  }
  return folder;
}

StatusOr<JobStatus> LocalEngine::GetStatus(const std::string& job) {
  if (job_ != nullptr && job == job_name_) return job_->LastStatus();
  ASSIGN_OR_RETURN(const RunFolder folder, Find(job));
  const StatusOr<std::string> answer = AskControl(folder.control(), "status");
  if (answer.ok()) return StatusFromJson(*answer);
  const bool is_held = folder.IsHeld();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(*NewLocalFileSystem(), folder.status()));
  ASSIGN_OR_RETURN(JobStatus status, StatusFromJson(text));
  return is_held ? status : Orphaned(std::move(status));
}

StatusOr<std::vector<JobStatus>> LocalEngine::List() {
  std::vector<JobStatus> jobs;
  for (const std::string& name : JobsIn(options_.run_root)) {
    StatusOr<JobStatus> status = GetStatus(name);
    if (!status.ok()) continue;  // gone in between
    status->tasks.clear();
    jobs.push_back(*std::move(status));
  }
  return jobs;
}

Status LocalEngine::Logs(const std::string& job, const LogOptions& options, const LogSink& sink) {
  ASSIGN_OR_RETURN(const RunFolder folder, Find(job));
  ASSIGN_OR_RETURN(const JobStatus status, GetStatus(job));
  std::vector<std::string> known, names;
  for (const TaskStatus& task : status.tasks) known.push_back(task.name);
  for (const std::string& name : options.tasks.empty() ? known : options.tasks) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return NotFoundError("job {} has no task {}; it has {}", job, name, fmt::join(known, ", "));
    }
    names.push_back(name);
  }
  std::vector<std::unique_ptr<TaskLogReader>> readers;
  for (const std::string& name : names) {
    readers.push_back(std::make_unique<TaskLogReader>(folder.LogOf(name), options.tail_lines));
  }
  for (;;) {
    // Asked before the last reading: what was written until then is read.
    const bool is_last = !options.follow || options.stop() || !folder.IsHeld();
    for (size_t i = 0; i < readers.size(); ++i) {
      readers[i]->Read([&](std::string_view line) { sink(names[i], line); });
    }
    if (is_last) return OkStatus();
    ::poll(nullptr, 0, kLogPollMs);
  }
}

Status LocalEngine::Scale(const std::string& job, JobRole role, int replicas) {
  RETURN_IF_ERROR(Find(job).status());
  return Error(
      "scale {} of job {} to {}: processes of this machine know each other from their "
      "start; delete the job, change replicas in its file and run it again, it goes on "
      "from its checkpoint",
      NameOf(role), job, replicas);
}

Status LocalEngine::Order(const std::string& job, const std::string& order) {
  ASSIGN_OR_RETURN(const RunFolder folder, Find(job));
  const StatusOr<std::string> answer = AskControl(folder.control(), order);
  if (!answer.ok()) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      fmt::format("job {} does not run any more", job));
  }
  return *answer == "ok" ? OkStatus() : Error("{}", *answer);
}

Status LocalEngine::Suspend(const std::string& job) { return Order(job, "suspend"); }
Status LocalEngine::Resume(const std::string& job) { return Order(job, "resume"); }

Status LocalEngine::Delete(const std::string& job) {
  ASSIGN_OR_RETURN(const RunFolder folder, Find(job));
  if (folder.IsHeld()) {
    const Status stopped = Order(job, "stop deleted");
    if (!stopped.ok() && folder.IsHeld()) return stopped;
    if (!folder.WaitUntilFree(kDeleteTimeoutMs)) {
      return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                        fmt::format("job {} did not end within an hour", job));
    }
  }
  return folder.Remove();
}

}  // namespace capstan
