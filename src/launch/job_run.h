// The life of a job whose tasks an engine of ours starts and ends itself: when each task starts,
// starts again and is ended, and what becomes of the job. A state machine without processes and
// without a clock.
//
//   running ─ leading tasks succeeded ─▶ finishing ─▶ succeeded
//      ├──── a task failed for good, deadline, start timeout ─▶ failing ─▶ failed
//      ├──── Stop() ─▶ stopping ─▶ failed ("stopped")
//      └──── Suspend() ─▶ suspended ─ Resume() ─▶ running
// Whatever ends a job, its leading tasks are ended first and servers last: a chief that saves needs
// the others.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "launch/failure_table.h"
#include "launch/job_status.h"
#include "launch/plan.h"

namespace capstan {

class JobRun {
 public:
  using Time = std::chrono::microseconds;  // of a clock that never goes back

  // When the job is done, all but servers that never end get so long to end by themselves.
  static constexpr std::chrono::seconds kFinishGrace{10};

  // Tasks have the numbers of plan.tasks().
  JobRun(const Plan& plan, Time now);

  void NoteStarted(int task, Time now);
  // `reason`: a sentence instead of "ended with …", where the program could not be started.
  void NoteEnded(int task, int exit_code, Time now, const std::string& reason = "");
  void NoteStep(int task, int64_t step, double examples_per_second);

  void Stop(const std::string& why);
  void Suspend();
  // kInvalidArgument when the job is over or about to be.
  Status Resume(Time now);

  struct Action {
    enum class Kind { kStart, kTerminate };
    Kind kind = Kind::kStart;
    int task = 0;
    std::chrono::milliseconds grace{0};  // from SIGTERM to SIGKILL
  };
  // What is to be done now. Each action is given once; kStart wants NoteStarted or NoteEnded.
  std::vector<Action> Next(Time now);

  JobStatus GetStatus(Time now) const;
  // Nothing runs, and nothing will run again.
  bool over() const;
  bool stopped() const { return phase_ == Phase::kStopping; }

 private:
  enum class Phase { kRunning, kFinishing, kFailing, kStopping, kSuspended };
  struct Task {
    std::string name, address;
    JobRole role = JobRole::kWorker;
    int index = 0;
    bool leads = false, is_capstan = false;
    FailureTable failures;
    std::chrono::milliseconds stop_timeout{0};

    TaskState state = TaskState::kQueued;
    bool lives = false;    // started, and not ended
    bool is_lost = false;  // given up: the job goes on without it
    bool termed = false;   // asked to end
    RetryCount retries;
    int restarts = 0;
    Time start_at{0}, started_at{0};
    int exit_code = -1;
    std::string reason;
    int64_t step = -1;
    double examples_per_second = -1;
  };

  static bool MayGoOn(const Task& task) { return !IsFinal(task.state); }
  bool IsNeeded(const Task& task) const;
  void Leave(Phase phase, const std::string& why);
  void CheckTimes(Time now);
  void CheckDone(Time now);
  void EndTask(Task* task, int exit_code, Time now);
  std::optional<Action> ActionFor(int number, Time now);

  std::vector<Task> tasks_;
  const std::string name_;
  const Time start_timeout_, deadline_;  // 0: none
  Time created_, start_;
  Phase phase_ = Phase::kRunning;
  Time finishing_since_{0};
  bool all_ran_ = false;
  std::string reason_;
};

}  // namespace capstan
