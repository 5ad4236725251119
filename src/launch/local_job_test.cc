#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "base/file_system.h"
#include "launch/local_engine.h"
#include "launch/local_ports.h"
#include "launch/status_json.h"
#include "launch/step_line.h"

namespace capstan {
namespace {

constexpr char kNeverEnds[] = "echo up; while :; do sleep 1000; done";

std::string NewFolder() {
  std::string path = "/tmp/capstan-launch-XXXXXX";
  EXPECT_NE(::mkdtemp(path.data()), nullptr);
  return path;
}

class LocalJobTest : public testing::Test {
 protected:
  LocalJobTest() : root_(NewFolder()) {
    options_ = {.run_root = root_ + "/run", .capstan_path = "/bin/echo", .clock = &clock_};
  }
  ~LocalJobTest() override { NewLocalFileSystem()->RemoveTree(root_).IgnoreError(); }

  // A worker that runs `worker`, and a server that runs `ps`.
  static Plan MakePlan(const std::string& worker, const std::string& ps) {
    Plan plan;
    plan.spec.name = "job";
    const auto add = [&](JobRole role, const std::string& script) {
      RolePlan made;
      made.spec.role = role;
      made.tasks = {{.name = fmt::format("job-{}-0", NameOf(role)),
                     .role = role,
                     .command = {"sh", "-c", script},
                     .leads = role == JobRole::kWorker}};
      plan.roles.push_back(made);
      plan.spec.roles.push_back(made.spec);
    };
    add(JobRole::kWorker, worker);
    add(JobRole::kPs, ps);
    return plan;
  }
  // Its lines by task, in the order of each.
  std::map<std::string, std::vector<std::string>> Logs(LocalEngine* engine, bool follow = true) {
    std::map<std::string, std::vector<std::string>> lines;
    const Status status = engine->Logs(
        "job", {.follow = follow},
        [&](const std::string& task, std::string_view line) { lines[task].emplace_back(line); });
    EXPECT_TRUE(status.ok()) << Message(status);
    return lines;
  }

  const std::string root_;
  SystemClock clock_;
  LocalJobOptions options_;
};

TEST_F(LocalJobTest, RunsToTheEndAndIsThereAfterwards) {
  {
    LocalEngine engine(options_);
    const Plan plan = MakePlan("echo Step: 7, loss: 1, 90 examples/s; printf 'no end'", kNeverEnds);
    ASSERT_TRUE(engine.Submit(plan).ok());
    const auto lines = Logs(&engine);
    EXPECT_EQ(lines.at("job-worker-0"),
              (std::vector<std::string>{"Step: 7, loss: 1, 90 examples/s", "no end"}));
    EXPECT_EQ(engine.GetStatus("job")->state, TaskState::kSucceeded);
  }
  LocalEngine other(options_);
  const auto status = other.GetStatus("job");
  ASSERT_TRUE(status.ok()) << Message(status.status());
  EXPECT_EQ(status->state, TaskState::kSucceeded);
  EXPECT_EQ(status->tasks[0].step, 7);
  EXPECT_EQ(status->tasks[1].reason, "ended with 143 (SIGTERM), asked to");
  EXPECT_EQ(Logs(&other, false).at("job-worker-0").size(), 2u);
  EXPECT_EQ(other.List()->size(), 1u);
  EXPECT_TRUE(other.Delete("job").ok());
  EXPECT_EQ(other.GetStatus("job").status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(other.List()->empty());
}

TEST_F(LocalJobTest, AnotherEngineSeesAndDeletesIt) {
  LocalEngine engine(options_);
  ASSERT_TRUE(engine.Submit(MakePlan(kNeverEnds, kNeverEnds)).ok());
  LocalEngine other(options_);
  EXPECT_EQ(other.GetStatus("job")->tasks.size(), 2u);
  const Status twice = other.Submit(MakePlan("exit 0", "exit 0"));
  EXPECT_EQ(twice.code(), absl::StatusCode::kAlreadyExists);
  const Status scaled = other.Scale("job", JobRole::kWorker, 3);
  EXPECT_EQ(scaled.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(other.Delete("job").ok());
  EXPECT_EQ(engine.GetStatus("job")->state, TaskState::kFailed);
  EXPECT_EQ(engine.GetStatus("job")->reason, "deleted");
}

TEST_F(LocalJobTest, SuspendAndResume) {
  LocalEngine engine(options_), other(options_);
  ASSERT_TRUE(engine.Submit(MakePlan(kNeverEnds, kNeverEnds)).ok());
  ASSERT_TRUE(other.Suspend("job").ok());
  const auto wait_for = [&](TaskState state) {
    while (other.GetStatus("job")->state != state) ::usleep(1000);
  };
  wait_for(TaskState::kSuspended);
  ASSERT_TRUE(other.Resume("job").ok());
  wait_for(TaskState::kRunning);
  EXPECT_TRUE(other.Delete("job").ok());
}

TEST_F(LocalJobTest, ARunAgainAfterTheEndBeginsAnew) {
  for (int i = 0; i < 2; ++i) {
    LocalEngine engine(options_);
    ASSERT_TRUE(engine.Submit(MakePlan("echo once", "exit 0")).ok());
    EXPECT_EQ(Logs(&engine).at("job-worker-0").size(), 1u);
  }
}

TEST_F(LocalJobTest, WhatCannotRunIsASentence) {
  LocalEngine engine(options_);
  Plan plan = MakePlan("exit 0", "");
  plan.roles[1].tasks[0].command = {"no-such-program"};
  ASSERT_TRUE(engine.Submit(plan).ok());
  EXPECT_EQ(Logs(&engine).at("job-ps-0"),
            std::vector<std::string>{"capstan: run no-such-program: no such program in PATH"});
  EXPECT_EQ(engine.GetStatus("job")->state, TaskState::kFailed);
  EXPECT_EQ(engine.GetStatus("job")->reason,
            "job-ps-0 cannot start: run no-such-program: no such program in PATH");
  plan.roles[1].tasks[0].command.clear();
  EXPECT_EQ(Message(LocalEngine(options_).Submit(plan)),
            "ps has no command: what an image runs by itself is no process of this machine");
  plan = MakePlan("exit 0", "exit 0");
  plan.roles[0].spec.program.resources.gpus = 2;
  EXPECT_EQ(Message(LocalEngine(options_).Submit(plan)),
            "job job wants 2 gpus, this machine has 0");
}

TEST_F(LocalJobTest, GpusTokenAndCapstanItself) {
  Plan plan = MakePlan("echo gpu=$CUDA_VISIBLE_DEVICES; sleep 0.2", "");
  plan.roles[0].spec.program.resources.gpus = 2;
  plan.roles[1].is_capstan = true;
  plan.roles[1].tasks[0].command = {"capstan", "train"};
  options_.gpus = {"0", "3", "5"};
  LocalEngine engine(options_);
  ASSERT_TRUE(engine.Submit(plan).ok());
  struct stat info {};
  EXPECT_EQ(::stat((options_.run_root + "/job/token").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto lines = Logs(&engine);
  EXPECT_EQ(lines.at("job-worker-0"), std::vector<std::string>{"gpu=0,3"});
  EXPECT_EQ(
      lines.at("job-ps-0"),
      std::vector<std::string>{"train --auth_token_file=" + options_.run_root + "/job/token"});
}

TEST_F(LocalJobTest, AFolderOfSomebodyElseIsRefused) {
  ASSERT_EQ(::mkdir(options_.run_root.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(options_.run_root.c_str(), 0755), 0);
  EXPECT_EQ(Message(LocalEngine(options_).Submit(MakePlan("exit 0", "exit 0"))),
            "folder " + options_.run_root + ": wanted one of this user with mode 0700");
}

TEST_F(LocalJobTest, LogsTurnOverAndAreFollowed) {
  const std::string path = root_ + "/task.log";
  TaskLogWriter writer(path, /*limit_bytes=*/100);
  TaskLogReader reader(path, -1), tail(path, 2);
  std::vector<std::string> read, last;
  const auto keep = [&](std::string_view line) { read.emplace_back(line); };
  EXPECT_FALSE(reader.Read(keep));
  for (int i = 0; i < 50; ++i) {
    writer.Append(fmt::format("line {}", i));
    if (i % 7 == 0) reader.Read(keep);
  }
  reader.Read(keep);
  EXPECT_EQ(read.size(), 50u);
  EXPECT_EQ(read.back(), "line 49");
  tail.Read([&](std::string_view line) { last.emplace_back(line); });
  EXPECT_EQ(last, (std::vector<std::string>{"line 48", "line 49"}));
}

TEST(LineCutterTest, LinesOverAnyPieces) {
  std::vector<std::string> lines;
  const auto sink = [&](std::string_view line) { lines.emplace_back(line); };
  LineCutter cutter;
  for (const char* piece : {"a", "b\nc\r\n", "\n10%\r50%\r100%\n", "rest"}) cutter.Add(piece, sink);
  cutter.Finish(sink);
  EXPECT_EQ(lines, (std::vector<std::string>{"ab", "c", "", "100%", "rest"}));
  lines.clear();
  cutter.Add(std::string(70 << 10, 'x'), sink);
  EXPECT_EQ(lines.size(), 1u);
}

TEST(StepLineTest, WhatLinesSay) {
  StepLine found;
  EXPECT_TRUE(ParseStepLine("worker 0: [0:00:01] Step: 1200, loss: 0.4, 53000 examples/s", &found));
  EXPECT_EQ(found.step, 1200);
  EXPECT_EQ(found.examples_per_second, 53000);
  EXPECT_TRUE(ParseStepLine("Step: 5", &found));
  EXPECT_EQ(found.examples_per_second, -1);
  EXPECT_FALSE(ParseStepLine("Step: five", &found));
  EXPECT_FALSE(ParseStepLine("", &found));
  EXPECT_TRUE(ParseStepLine("Step: 5, examples/s", &found));
}

TEST(StatusJsonTest, ThereAndBack) {
  JobStatus status{
      .name = "job", .state = TaskState::kRestarting, .reason = "\"why\"\xff", .age_s = 3};
  status.tasks = {{.name = "job-ps-0",
                   .role = JobRole::kPs,
                   .state = TaskState::kEnding,
                   .address = "a:1",
                   .step = 7,
                   .examples_per_second = 2.5,
                   .restarts = 1,
                   .age_s = 2,
                   .exit_code = 137,
                   .reason = "r",
                   .leads = true},
                  {.name = "job-ps-1", .role = JobRole::kPs, .index = 1}};
  const auto back = StatusFromJson(StatusToJson(status));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(StatusToJson(*back), StatusToJson(status));
  EXPECT_EQ(back->tasks[1].step, -1);
  EXPECT_EQ(StatusToJson(status).find('\n'), std::string::npos);
  for (const char* bad : {"", "{", "[]", "{\"state\":\"happy\"}", "{\"state\":1}"}) {
    EXPECT_FALSE(StatusFromJson(bad).ok()) << bad;
  }
}

TEST(LocalPortsTest, EachIsAnother) {
  LocalPorts ports(1);
  std::set<int> given;
  for (int i = 0; i < 50; ++i) given.insert(*ports.Choose());
  EXPECT_EQ(given.size(), 50u);
}

}  // namespace
}  // namespace capstan
