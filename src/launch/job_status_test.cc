#include "launch/job_status.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TaskStatus Task(JobRole role, TaskState state, bool leads = false) {
  return {.role = role, .state = state, .leads = leads};
}

TEST(StateOfJob, FollowsItsTasks) {
  using enum TaskState;
  const auto state = [](TaskState chief, TaskState worker, TaskState ps, bool may_lose = false) {
    return StateOfJob({Task(JobRole::kWorker, chief, true), Task(JobRole::kWorker, worker),
                       Task(JobRole::kPs, ps)},
                      may_lose);
  };
  EXPECT_EQ(state(kRunning, kRunning, kRunning), kRunning);
  EXPECT_EQ(state(kRunning, kQueued, kStarting), kQueued);
  EXPECT_EQ(state(kRunning, kStarting, kRunning), kStarting);
  EXPECT_EQ(state(kRunning, kRestarting, kRunning), kRestarting);
  EXPECT_EQ(state(kSucceeded, kRunning, kRunning), kEnding);
  EXPECT_EQ(state(kSucceeded, kSucceeded, kSucceeded), kSucceeded);
  EXPECT_EQ(state(kRunning, kSucceeded, kRunning), kRunning);
  EXPECT_EQ(state(kRunning, kFailed, kRunning), kFailed);
  EXPECT_EQ(state(kRunning, kFailed, kRunning, true), kRunning);
  EXPECT_EQ(state(kFailed, kRunning, kRunning, true), kFailed);
  EXPECT_EQ(state(kSucceeded, kFailed, kSucceeded, true), kSucceeded);
  EXPECT_EQ(state(kSuspended, kSuspended, kSuspended), kSuspended);
  EXPECT_EQ(StateOfJob({}, false), kQueued);
}

}  // namespace
}  // namespace capstan
