#include "task/task_life.h"

#include <gtest/gtest.h>

#include <functional>

namespace capstan {
namespace {

using std::chrono::seconds;
using Time = TaskLife::Time;

constexpr TaskId kChief{TaskKind::kChief, 0};
constexpr TaskId Worker(int i) { return {TaskKind::kWorker, i}; }
constexpr TaskId Ps(int i) { return {TaskKind::kPs, i}; }
constexpr TaskId kEvaluator{TaskKind::kEvaluator, 0};

// All supervisors of a job; calls between those that are there arrive at once. Time moves by ticks.
struct Job {
  struct Task {
    std::unique_ptr<TaskLife> life;  // nullptr: has exited, or is not there
    bool program_runs = true;
    bool ended_by_us = false;
    std::optional<int> exit_code;
    std::string log;
  };
  std::vector<TaskId> leads, followers;
  bool all_workers = false;
  std::map<TaskId, Task> tasks;
  Time now{0};
  std::function<bool(TaskId, TaskId)> connected = [](TaskId, TaskId) { return true; };

  Job(std::vector<TaskId> leading, std::vector<TaskId> following, bool all = false)
      : leads(std::move(leading)), followers(std::move(following)), all_workers(all) {
    for (const auto* list : {&leads, &followers}) {
      for (const TaskId& id : *list) Start(id);
    }
  }
  void Start(const TaskId& id) {
    TaskLifeOptions options{
        .self = id, .leads = leads, .followers = followers, .all_workers = all_workers};
    tasks[id] = Task{.life = std::make_unique<TaskLife>(options, now)};
  }
  // As kill -9 of its container.
  void Vanish(const TaskId& id) { tasks[id].life = nullptr; }
  void EndProgram(const TaskId& id, int code) {
    tasks[id].program_runs = false;
    tasks[id].life->NoteProgramEnd(code, now);
  }
  void Call(const TaskId& from, const TaskId& to) {
    TaskLife* caller = tasks[from].life.get();
    TaskLife* called = tasks[to].life.get();
    const bool there = called != nullptr && connected(from, to);
    if (there) {
      called->NoteReport(caller->ReportTo(to), now);
      caller->NoteReport(called->ReportTo(from), now);
    }
    caller->NoteCalled(to, there, now);
  }
  void Tick() {
    now += std::chrono::milliseconds(250);
    for (auto& [id, task] : tasks) {
      if (task.life == nullptr) continue;
      const TaskLife::Orders orders = task.life->Next(now);
      for (const std::string& line : orders.log) task.log += line + "\n";
      for (const TaskId& peer : orders.call) Call(id, peer);
      if (orders.end_program && task.program_runs) {
        task.ended_by_us = true;
        EndProgram(id, 143);
      }
      if (orders.exit_code.has_value()) {
        task.exit_code = orders.exit_code;
        task.life = nullptr;
      }
    }
  }
  void Run(seconds span) {
    for (const Time end = now + span; now < end;) Tick();
  }
  std::optional<int> Exit(const TaskId& id) { return tasks[id].exit_code; }
  bool Runs(const TaskId& id) { return tasks[id].life != nullptr && tasks[id].program_runs; }
  bool AllExitedWith0() {
    for (auto& [id, task] : tasks) {
      if (task.exit_code != 0) return false;
    }
    return true;
  }
};

TEST(TaskLifeTest, ServersEndWhenTheFirstWorkerIsDone) {
  Job job({Worker(0)}, {Worker(1), Ps(0), Ps(1)});
  job.Run(seconds(60));
  for (const TaskId& id : job.followers) EXPECT_TRUE(job.Runs(id)) << id.Text();
  job.EndProgram(Worker(1), 0);  // by itself, a moment earlier
  job.Run(seconds(1));
  EXPECT_EQ(job.Exit(Worker(1)), 0);
  EXPECT_TRUE(job.Runs(Ps(0)));
  job.EndProgram(Worker(0), 0);
  job.Run(seconds(3));
  EXPECT_TRUE(job.AllExitedWith0());
  EXPECT_TRUE(job.tasks[Ps(1)].ended_by_us);
}

TEST(TaskLifeTest, WorkersMayFinishBeforeServersAreEnded) {
  Job job({Worker(0)}, {Worker(1), Ps(0)});
  job.Run(seconds(10));
  job.EndProgram(Worker(0), 0);
  job.Run(seconds(5));
  EXPECT_TRUE(job.Runs(Worker(1)));
  EXPECT_TRUE(job.Runs(Ps(0)));
  job.EndProgram(Worker(1), 1);  // whatever it ends with now, the job has succeeded
  job.Run(seconds(3));
  EXPECT_TRUE(job.AllExitedWith0());
}

TEST(TaskLifeTest, WorkersThatNeverEndAreEndedAfterTheGrace) {  // as with ParameterServerStrategy
  Job job({kChief}, {Worker(0), Worker(1), Ps(0), kEvaluator});
  job.Run(seconds(10));
  job.EndProgram(kChief, 0);
  job.Run(seconds(9));
  EXPECT_TRUE(job.Runs(Worker(0)) && job.Runs(kEvaluator) && job.Runs(Ps(0)));
  job.Run(seconds(5));
  EXPECT_TRUE(job.AllExitedWith0());
}

TEST(TaskLifeTest, AllWorkersMustBeDone) {
  Job job({Worker(0), Worker(1), Worker(2)}, {Ps(0)}, /*all=*/true);
  job.Run(seconds(10));
  job.EndProgram(Worker(1), 0);
  job.Run(seconds(30));
  EXPECT_EQ(job.Exit(Worker(1)), 0);
  job.EndProgram(Worker(0), 0);
  job.Run(seconds(30));
  EXPECT_TRUE(job.Runs(Ps(0)));
  // A server that is started again hears of those who have left from who is still there.
  job.Vanish(Ps(0));
  job.Start(Ps(0));
  job.Run(seconds(10));
  EXPECT_TRUE(job.Runs(Ps(0)));
  job.EndProgram(Worker(2), 0);
  job.Run(seconds(10));
  EXPECT_TRUE(job.AllExitedWith0());
}

TEST(TaskLifeTest, ALeadStartedAgainInMidTellingGoesOnTelling) {
  Job job({kChief}, {Ps(0), Ps(1), Ps(2)});
  job.Run(seconds(10));
  job.connected = [](TaskId from, TaskId to) { return from != Ps(2) && to != Ps(2); };
  job.EndProgram(kChief, 0);
  job.Run(seconds(5));
  EXPECT_FALSE(job.Runs(Ps(0)));
  EXPECT_FALSE(job.Exit(Ps(0)).has_value());  // not released: it remembers
  job.Vanish(kChief);
  job.Run(seconds(20));
  EXPECT_TRUE(job.Runs(Ps(2)));
  job.Start(kChief);
  job.connected = [](TaskId, TaskId) { return true; };
  job.Run(seconds(5));
  EXPECT_TRUE(job.AllExitedWith0());
  EXPECT_TRUE(job.tasks[kChief].ended_by_us);  // its program needed not train again
  EXPECT_NE(job.tasks[kChief].log.find("an earlier run of this task has succeeded"),
            std::string::npos);
}

TEST(TaskLifeTest, ALeadThatNeverComesBackAfterTheTellingIsNotWaitedForLong) {
  Job job({kChief}, {Ps(0), Ps(1)});
  job.Run(seconds(10));
  job.connected = [](TaskId from, TaskId to) { return from != Ps(1) && to != Ps(1); };
  job.EndProgram(kChief, 0);
  job.Run(seconds(5));
  job.Vanish(kChief);
  job.Run(seconds(310));
  EXPECT_EQ(job.Exit(Ps(0)), 0);
  EXPECT_EQ(job.Exit(Ps(1)), 3);  // nobody told it
}

TEST(TaskLifeTest, AFinalFailureEndsAll) {
  for (const TaskId failing : {kChief, Worker(0), Ps(1)}) {
    Job job({kChief}, {Worker(0), Ps(0), Ps(1)});
    job.Run(seconds(10));
    job.EndProgram(failing, 1);
    job.Run(seconds(15));
    for (const auto& [id, task] : job.tasks) {
      EXPECT_EQ(task.exit_code, id == failing ? 1 : 3) << id.Text() << " when " << failing.Text();
    }
  }
}

TEST(TaskLifeTest, ARetryableFailureIsNobodysBusiness) {
  Job job({kChief}, {Worker(0), Ps(0)});
  job.Run(seconds(10));
  for (const TaskId id : {kChief, Worker(0), Ps(0)}) {
    job.EndProgram(id, 137);
    job.Tick();
    EXPECT_EQ(job.Exit(id), 137);
    job.Run(seconds(100));
    job.Start(id);
    job.Run(seconds(20));
  }
  EXPECT_TRUE(job.Runs(kChief) && job.Runs(Worker(0)) && job.Runs(Ps(0)));
}

TEST(TaskLifeTest, PeersThatAreGoneForGood) {
  Job job({kChief}, {Worker(0), Ps(0)});
  job.Run(seconds(10));
  job.Vanish(kChief);
  job.Run(seconds(290));
  EXPECT_TRUE(job.Runs(Ps(0)));
  job.Run(seconds(30));
  EXPECT_EQ(job.Exit(Ps(0)), 3);
  EXPECT_EQ(job.Exit(Worker(0)), 3);
  EXPECT_NE(job.tasks[Ps(0)].log.find("chief-0 is gone: not heard for 300 s"), std::string::npos);
}

TEST(TaskLifeTest, AServerThatIsGoneForGoodEndsTheLead) {
  Job job({kChief}, {Worker(0), Ps(0), Ps(1)});
  job.Run(seconds(10));
  job.Vanish(Ps(1));
  job.Run(seconds(320));
  EXPECT_EQ(job.Exit(kChief), 3);
  EXPECT_EQ(job.Exit(Ps(0)), 3);
  EXPECT_EQ(job.Exit(Worker(0)), 3);
}

TEST(TaskLifeTest, WorkersMayBeGoneForLong) {
  Job job({kChief}, {Worker(0), Ps(0)});
  job.Run(seconds(10));
  job.Vanish(Worker(0));
  job.Run(seconds(2000));
  EXPECT_TRUE(job.Runs(kChief));
  job.EndProgram(kChief, 0);  // it is waited for as long as it would have taken to end
  job.Run(seconds(400));
  EXPECT_EQ(job.Exit(kChief), 0);
  EXPECT_EQ(job.Exit(Ps(0)), 0);
}

TEST(TaskLifeTest, APeerThatNeverCame) {
  Job job({kChief}, {Ps(0)});
  job.Vanish(kChief);
  job.Run(seconds(590));
  EXPECT_TRUE(job.Runs(Ps(0)));
  job.Run(seconds(30));
  EXPECT_EQ(job.Exit(Ps(0)), 3);
}

TEST(TaskLifeTest, AStopFromOutsideIsNoVerdict) {
  Job job({kChief}, {Ps(0)});
  job.Run(seconds(10));
  job.tasks[kChief].life->NoteStopRequest();
  job.EndProgram(kChief, 1);  // a script that makes an error of its interruption
  job.Tick();
  EXPECT_EQ(job.Exit(kChief), 1);
  EXPECT_TRUE(job.Runs(Ps(0)));
}

TEST(TaskLifeTest, NoPeersNoWaiting) {
  Job job({Worker(0)}, {});
  job.EndProgram(Worker(0), 0);
  job.Run(seconds(1));
  EXPECT_EQ(job.Exit(Worker(0)), 0);
}

}  // namespace
}  // namespace capstan
