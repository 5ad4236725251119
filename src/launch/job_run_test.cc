#include "launch/job_run.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using std::chrono::seconds;
using Kind = JobRun::Action::Kind;

RolePlan Role(JobRole role, int replicas, bool is_capstan, bool leads_first = false) {
  RolePlan plan{.is_capstan = is_capstan};
  plan.spec.role = role;
  plan.spec.replicas = replicas;
  for (int i = 0; i < replicas; ++i) {
    plan.tasks.push_back({.name = fmt::format("job-{}-{}", NameOf(role), i),
                          .role = role,
                          .index = i,
                          .leads = leads_first && i == 0});
  }
  return plan;
}

// Tasks 0 and 1 are workers, 2 and 3 servers. Whoever is asked to end does so with 143.
class TestRun {
 public:
  explicit TestRun(bool is_capstan = false, std::function<void(Plan*)> change = nullptr) {
    plan_.spec.name = "job";
    plan_.roles = {Role(JobRole::kWorker, 2, is_capstan, true), Role(JobRole::kPs, 2, is_capstan)};
    if (change != nullptr) change(&plan_);
    run_ = std::make_unique<JobRun>(plan_, now_);
    Tick();
  }
  void Tick(JobRun::Time span = std::chrono::milliseconds(100)) {
    now_ += span;
    for (int round = 0; round < 3; ++round) {
      for (const JobRun::Action& action : run_->Next(now_)) {
        log += fmt::format("{}{} ", action.kind == Kind::kStart ? "start" : "end", action.task);
        if (action.kind == Kind::kStart) {
          run_->NoteStarted(action.task, now_);
        } else if (!stubborn) {
          run_->NoteEnded(action.task, 143, now_);
        }
      }
    }
  }
  void End(int task, int code) { run_->NoteEnded(task, code, now_); }
  TaskStatus Of(int task) { return run_->GetStatus(now_).tasks[static_cast<size_t>(task)]; }
  TaskState state() { return run_->GetStatus(now_).state; }
  std::string reason() { return run_->GetStatus(now_).reason; }
  JobRun* operator->() { return run_.get(); }
  JobRun::Time now() const { return now_; }

  std::string log;
  bool stubborn = false;

 private:
  Plan plan_;
  JobRun::Time now_{seconds(1000)};
  std::unique_ptr<JobRun> run_;
};

TEST(JobRunTest, ServersThatNeverEndAreEndedAfterTheWorkers) {
  TestRun run;
  EXPECT_EQ(run.log, "start0 start1 start2 start3 ");
  EXPECT_EQ(run.state(), TaskState::kRunning);
  run.log.clear();
  run.End(0, 0);
  run.Tick();
  EXPECT_EQ(run.state(), TaskState::kEnding);
  EXPECT_EQ(run.log, "");
  run.End(1, 1);  // whatever it ends with now
  run.Tick();
  EXPECT_EQ(run.log, "end2 end3 ");
  EXPECT_EQ(run.state(), TaskState::kSucceeded);
  EXPECT_TRUE(run->over());
  EXPECT_EQ(run.Of(2).state, TaskState::kSucceeded);
  EXPECT_EQ(run.Of(1).reason, "ended with 1 after the job was done");
}

TEST(JobRunTest, AWorkerThatNeverEndsIsEndedAfterTheGrace) {
  TestRun run;
  run.log.clear();
  run.End(0, 0);
  run.Tick();
  run.Tick(JobRun::kFinishGrace);
  EXPECT_EQ(run.log, "end1 end2 end3 ");
  EXPECT_EQ(run.state(), TaskState::kSucceeded);
}

TEST(JobRunTest, TasksOfCapstanEndEachOther) {
  TestRun run(/*is_capstan=*/true);
  run.log.clear();
  run.End(0, 0);
  run.End(1, 0);
  run.Tick(seconds(50));  // the moment in which it sees that the job is done
  run.Tick(seconds(9));
  EXPECT_EQ(run.log, "");
  run.End(2, 0);
  EXPECT_EQ(run.state(), TaskState::kEnding);
  run.Tick(seconds(1));  // the other was started again, and waits for a chief
  EXPECT_EQ(run.log, "end3 ");
  EXPECT_EQ(run.state(), TaskState::kSucceeded);
}

TEST(JobRunTest, RetriesWaitLongerAndProgressGivesThemBack) {
  TestRun run;
  run.log.clear();
  run.End(1, 137);
  EXPECT_EQ(run.Of(1).state, TaskState::kRestarting);
  EXPECT_EQ(run.Of(1).reason, "ended with 137 (SIGKILL), starts again in 1 s");
  EXPECT_EQ(run.state(), TaskState::kRestarting);
  run.Tick();
  EXPECT_EQ(run.log, "");
  run.Tick(seconds(1));
  EXPECT_EQ(run.log, "start1 ");
  run.End(1, 137);
  EXPECT_EQ(run.Of(1).reason, "ended with 137 (SIGKILL), starts again in 2 s");
  run.Tick(seconds(2));
  run->NoteStep(1, 100, 5);
  run->NoteStep(1, 200, 6);
  EXPECT_EQ(run.Of(1).step, 200);
  run.End(1, 137);
  EXPECT_EQ(run.Of(1).reason, "ended with 137 (SIGKILL), starts again in 1 s");
  EXPECT_EQ(run.Of(1).restarts, 3);
}

TEST(JobRunTest, AfterTheLimitTheJobFails) {
  TestRun run(false, [](Plan* plan) { plan->roles[0].spec.failures.retry_limit = 1; });
  run.End(1, 137);
  run.Tick(seconds(2));
  run.log.clear();
  run.End(1, 137);
  run.Tick();
  EXPECT_EQ(run.log, "end0 end2 end3 ");  // servers last
  EXPECT_EQ(run.state(), TaskState::kFailed);
  EXPECT_EQ(run.reason(), "job-worker-1 ended with 137 (SIGKILL), after 1 retry without progress");
}

TEST(JobRunTest, AFinalCodeFailsTheJobAtOnce) {
  TestRun run;
  run.stubborn = true;
  run.log.clear();
  run->NoteEnded(2, 127, run.now(), "run nonsense: no such program in PATH");
  run.Tick();
  EXPECT_EQ(run.log, "end0 ");
  run.Tick(seconds(30));
  EXPECT_EQ(run.log, "end0 ");  // each is asked once; then it is killed
  EXPECT_EQ(run.state(), TaskState::kEnding);
  run.End(0, 137);
  run.Tick();
  EXPECT_EQ(run.log, "end0 end1 ");
  run.End(1, 137);
  run.Tick();
  EXPECT_EQ(run.log, "end0 end1 end3 ");
  run.End(3, 137);
  EXPECT_EQ(run.state(), TaskState::kFailed);
  EXPECT_EQ(run.reason(), "job-ps-0 run nonsense: no such program in PATH");
}

TEST(JobRunTest, AWorkerMayBeGivenUp) {
  TestRun run(false, [](Plan* plan) {
    plan->roles[0].spec.failures.rules = {
        {.first = 9, .last = 9, .action = FailureAction::kGiveUp}};
  });
  run.End(1, 9);
  run.Tick();
  EXPECT_EQ(run.state(), TaskState::kRunning);
  EXPECT_EQ(run.Of(1).reason, "ended with 9, given up");
  run.End(0, 0);
  run.Tick();
  EXPECT_EQ(run.state(), TaskState::kSucceeded);
  TestRun leading(false, [](Plan* plan) {
    plan->roles[0].spec.failures.rules = {
        {.first = 9, .last = 9, .action = FailureAction::kGiveUp}};
  });
  leading.End(0, 9);
  leading.Tick();
  EXPECT_EQ(leading.state(), TaskState::kFailed);
}

TEST(JobRunTest, DeadlineAndStartTimeout) {
  TestRun late(false, [](Plan* plan) { plan->spec.deadline_s = 60; });
  late.Tick(seconds(59));
  EXPECT_EQ(late.state(), TaskState::kRunning);
  late.Tick(seconds(1));
  EXPECT_EQ(late.state(), TaskState::kFailed);
  EXPECT_EQ(late.reason(), "the deadline of 60 s has passed");

  Plan plan;
  plan.spec = {.name = "job", .start_timeout_s = 5};
  plan.roles = {Role(JobRole::kWorker, 2, false, true)};
  JobRun run(plan, JobRun::Time(0));
  run.Next(JobRun::Time(0));
  run.NoteStarted(0, JobRun::Time(0));
  run.NoteEnded(1, 137, JobRun::Time(0));
  EXPECT_EQ(run.Next(seconds(5)).size(), 1u);  // the end of task 0
  EXPECT_EQ(run.GetStatus(seconds(5)).reason,
            "not all tasks ran within 5 s: job-worker-1 (ended with 137 (SIGKILL), starts again in "
            "1 s)");
}

TEST(JobRunTest, StopEndsServersLast) {
  TestRun run;
  run.log.clear();
  run->Stop("stopped by SIGINT");
  run.Tick();
  EXPECT_EQ(run.log, "end0 end1 end2 end3 ");
  EXPECT_TRUE(run->over() && run->stopped());
  EXPECT_EQ(run.state(), TaskState::kFailed);
  EXPECT_EQ(run.reason(), "stopped by SIGINT");
}

TEST(JobRunTest, SuspendAndResume) {
  TestRun run;
  EXPECT_TRUE(run->Resume(run.now()).ok());
  run.log.clear();
  run->Suspend();
  run.Tick();
  EXPECT_EQ(run.log, "end0 end1 end2 end3 ");
  EXPECT_EQ(run.state(), TaskState::kSuspended);
  EXPECT_FALSE(run->over());
  run.Tick(seconds(10000));
  run.log.clear();
  EXPECT_TRUE(run->Resume(run.now()).ok());
  run.Tick();
  EXPECT_EQ(run.log, "start0 start1 start2 start3 ");
  EXPECT_EQ(run.state(), TaskState::kRunning);
  EXPECT_EQ(run.Of(0).restarts, 0);
  run->Suspend();
  run.Tick();
  run->Stop("deleted");
  EXPECT_TRUE(run->over());
  EXPECT_FALSE(run->Resume(run.now()).ok());
}

}  // namespace
}  // namespace capstan
