#include "launch/job_run.h"

#include <algorithm>
#include <cstring>

namespace capstan {
namespace {

double Seconds(std::chrono::microseconds span) { return static_cast<double>(span.count()) / 1e6; }

std::string EndText(int exit_code) {
  if (exit_code <= 128) return fmt::format("ended with {}", exit_code);
  const char* name = ::sigabbrev_np(exit_code - 128);
  return name == nullptr ? fmt::format("ended with {}", exit_code)
                         : fmt::format("ended with {} (SIG{})", exit_code, name);
}

}  // namespace

JobRun::JobRun(const Plan& plan, Time now)
    : name_(plan.spec.name),
      start_timeout_(std::chrono::seconds(plan.spec.start_timeout_s)),
      deadline_(std::chrono::seconds(plan.spec.deadline_s)),
      created_(now),
      start_(now) {
  for (const RolePlan& role : plan.roles) {
    for (const TaskPlan& task : role.tasks) {
      tasks_.push_back({.name = task.name,
                        .address = task.address,
                        .role = task.role,
                        .index = task.index,
                        .leads = task.leads,
                        .is_capstan = role.is_capstan,
                        .failures = role.spec.failures,
                        .stop_timeout = std::chrono::seconds(role.spec.stop_timeout_s),
                        .start_at = now});
    }
  }
}

void JobRun::NoteStarted(int number, Time now) {
  Task& task = tasks_[static_cast<size_t>(number)];
  task.lives = true;
  task.started_at = now;
  task.state = TaskState::kRunning;
  task.examples_per_second = -1;
  all_ran_ |= std::all_of(tasks_.begin(), tasks_.end(),
                          [](const Task& t) { return t.lives || IsFinal(t.state); });
}

void JobRun::NoteStep(int number, int64_t step, double examples_per_second) {
  Task& task = tasks_[static_cast<size_t>(number)];
  task.step = step;
  if (examples_per_second >= 0) task.examples_per_second = examples_per_second;
  task.retries.NoteStep(step);
}

void JobRun::NoteEnded(int number, int exit_code, Time now, const std::string& reason) {
  Task& task = tasks_[static_cast<size_t>(number)];
  task.lives = false;
  task.exit_code = exit_code;
  task.examples_per_second = -1;
  task.reason = reason.empty() ? EndText(exit_code) : reason;
  EndTask(&task, exit_code, now);
  task.termed = false;
}

// What the end means in the phase that the job is in.
void JobRun::EndTask(Task* task, int exit_code, Time now) {
  if (phase_ == Phase::kSuspended) {
    task->state = exit_code == 0 && !task->termed ? TaskState::kSucceeded : TaskState::kSuspended;
    return;
  }
  if (phase_ == Phase::kFinishing) {
    // The leading tasks have decided: whatever the others end with now, the job has succeeded.
    task->state = TaskState::kSucceeded;
    if (exit_code != 0) task->reason += task->termed ? ", asked to" : " after the job was done";
    return;
  }
  if (phase_ != Phase::kRunning) {
    if (exit_code != 0 && task->termed) task->reason += ", asked to";
    task->state = exit_code == 0 ? TaskState::kSucceeded : TaskState::kFailed;
    return;
  }
  const std::string what = task->reason;
  switch (task->failures.ActionFor(TaskEnd{.exit_code = exit_code}, task->retries.retries())) {
    case FailureAction::kSucceed:
      task->state = TaskState::kSucceeded;
      return;
    case FailureAction::kRetry: {
      task->retries.AddRetry();
      ++task->restarts;
      const auto delay = RetryDelay(task->retries.retries());
      task->start_at = now + delay;
      task->state = TaskState::kRestarting;
      task->reason = fmt::format("{}, starts again in {} s", what, delay.count() / 1000);
      return;
    }
    case FailureAction::kGiveUp:
      task->state = TaskState::kFailed;
      if (!task->leads) {
        task->is_lost = true;
        task->reason = what + ", given up";
        return;
      }
      break;
    case FailureAction::kFailJob:
      task->state = TaskState::kFailed;
      break;
  }
  if (task->failures.ActionFor(exit_code) == FailureAction::kRetry) {
    const int retries = task->retries.retries();
    task->reason = fmt::format("{}, after {} {} without progress", what, retries,
                               retries == 1 ? "retry" : "retries");
  }
  Leave(Phase::kFailing, fmt::format("{} {}", task->name, task->reason));
}

void JobRun::Leave(Phase phase, const std::string& why) {
  phase_ = phase;
  reason_ = why;
  for (Task& task : tasks_) {
    if (task.lives || IsFinal(task.state)) continue;
    // Will not be started (again).
    task.state = phase == Phase::kSuspended   ? TaskState::kSuspended
                 : phase == Phase::kFinishing ? TaskState::kSucceeded
                                              : TaskState::kFailed;
  }
}

void JobRun::Stop(const std::string& why) {
  if (phase_ == Phase::kRunning || phase_ == Phase::kSuspended) Leave(Phase::kStopping, why);
}

void JobRun::Suspend() {
  if (phase_ == Phase::kRunning) Leave(Phase::kSuspended, "suspended");
}

Status JobRun::Resume(Time now) {
  if (phase_ == Phase::kRunning) return OkStatus();
  if (phase_ != Phase::kSuspended) return Error("job {} is ending: {}", name_, reason_);
  for (const Task& task : tasks_) {
    if (task.lives) return Error("job {} is still suspending: {} runs", name_, task.name);
  }
  phase_ = Phase::kRunning;
  reason_.clear();
  start_ = now;
  all_ran_ = false;
  for (Task& task : tasks_) {
    if (task.state != TaskState::kSuspended) continue;
    task.state = TaskState::kQueued;
    task.start_at = now;
    task.reason.clear();
  }
  return OkStatus();
}

void JobRun::CheckTimes(Time now) {
  if (phase_ != Phase::kRunning) return;
  if (deadline_.count() > 0 && now - start_ >= deadline_) {
    return Leave(Phase::kFailing,
                 fmt::format("the deadline of {:.0f} s has passed", Seconds(deadline_)));
  }
  if (all_ran_ || start_timeout_.count() == 0 || now - start_ < start_timeout_) return;
  std::string missing;
  for (const Task& task : tasks_) {
    if (task.lives || IsFinal(task.state)) continue;
    missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", task.name,
                           task.reason.empty() ? "not started" : task.reason);
  }
  Leave(Phase::kFailing,
        fmt::format("not all tasks ran within {:.0f} s: {}", Seconds(start_timeout_), missing));
}

void JobRun::CheckDone(Time now) {
  if (phase_ != Phase::kRunning) return;
  for (const Task& task : tasks_) {
    if (task.leads && task.state != TaskState::kSucceeded) return;
  }
  Leave(Phase::kFinishing, "");
  finishing_since_ = now;
}

// Whether somebody lives who ends before `task`.
bool JobRun::IsNeeded(const Task& task) const {
  const auto rank = [](const Task& t) { return t.leads ? 0 : t.role == JobRole::kPs ? 2 : 1; };
  return std::any_of(tasks_.begin(), tasks_.end(),
                     [&](const Task& other) { return other.lives && rank(other) < rank(task); });
}

std::optional<JobRun::Action> JobRun::ActionFor(int number, Time now) {
  Task& task = tasks_[static_cast<size_t>(number)];
  const Action terminate{
      .kind = Action::Kind::kTerminate, .task = number, .grace = task.stop_timeout};
  if (phase_ == Phase::kRunning) {
    const bool waits = task.state == TaskState::kQueued || task.state == TaskState::kRestarting;
    if (!waits || now < task.start_at) return std::nullopt;
    task.state = TaskState::kStarting;
    return Action{.kind = Action::Kind::kStart, .task = number};
  }
  if (!task.lives || task.termed) return std::nullopt;
  if (IsNeeded(task)) return std::nullopt;
  if (phase_ == Phase::kFinishing) {
    // Tasks of capstan end each other when all is saved; only one that was started again in the
    // meantime hears of nothing. Servers of others never end.
    const bool is_server = task.role == JobRole::kPs;
    const Time patience = is_server && !task.is_capstan ? Time(0) : Time(kFinishGrace);
    if (now - finishing_since_ < patience) return std::nullopt;
  }
  task.termed = true;
  return terminate;
}

std::vector<JobRun::Action> JobRun::Next(Time now) {
  CheckTimes(now);
  CheckDone(now);
  std::vector<Action> actions;
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (const auto action = ActionFor(static_cast<int>(i), now)) actions.push_back(*action);
  }
  return actions;
}

bool JobRun::over() const {
  return phase_ != Phase::kRunning && phase_ != Phase::kSuspended &&
         std::none_of(tasks_.begin(), tasks_.end(), [](const Task& task) { return task.lives; });
}

JobStatus JobRun::GetStatus(Time now) const {
  JobStatus status{.name = name_, .reason = reason_, .age_s = Seconds(now - created_)};
  std::vector<TaskStatus> that_count;
  for (const Task& task : tasks_) {
    const bool ending = task.lives && phase_ != Phase::kRunning;
    TaskStatus one{.name = task.name,
                   .role = task.role,
                   .index = task.index,
                   .state = ending ? TaskState::kEnding : task.state,
                   .address = task.address,
                   .step = task.step,
                   .examples_per_second = task.examples_per_second,
                   .restarts = task.restarts,
                   .age_s = task.lives ? Seconds(now - task.started_at) : 0,
                   .exit_code = task.exit_code,
                   .reason = task.lives ? "" : task.reason,
                   .leads = task.leads};
    if (!task.is_lost) that_count.push_back(one);
    status.tasks.push_back(std::move(one));
  }
  switch (phase_) {
    case Phase::kRunning:
      status.state = StateOfJob(that_count, /*may_lose_workers=*/false);
      break;
    case Phase::kFinishing:
      status.state = over() ? TaskState::kSucceeded : TaskState::kEnding;
      break;
    case Phase::kFailing:
    case Phase::kStopping:
      status.state = over() ? TaskState::kFailed : TaskState::kEnding;
      break;
    case Phase::kSuspended:
      status.state =
          std::any_of(tasks_.begin(), tasks_.end(), [](const Task& t) { return t.lives; })
              ? TaskState::kEnding
              : TaskState::kSuspended;
      break;
  }
  return status;
}

}  // namespace capstan
