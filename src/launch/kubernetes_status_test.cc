#include "launch/kubernetes_status.h"

#include <gtest/gtest.h>

#include "launch/kubernetes_submit.h"
#include "launch/log_lines.h"

namespace capstan {
namespace {

constexpr double kNow = 1000;

// "1970-01-01T00:15:00Z" is 900.
std::string Pod(const std::string& job, int index, const std::string& status,
                const std::string& name = "p", const std::string& created = "00:15:00") {
  return fmt::format(
      R"({{"metadata": {{"name": "{}", "uid": "u-{}", "creationTimestamp": "1970-01-01T{}Z",
          "annotations": {{"batch.kubernetes.io/job-completion-index": "{}"}},
          "labels": {{"job-name": "{}"}}}},
        "spec": {{"nodeName": "n1", "containers": [{{"name": "task", "image": "i",
          "resources": {{"limits": {{"memory": "2Gi"}}}}}}]}}, "status": {}}})",
      name, name, created, index, job, status);
}

constexpr char kRunning[] = R"({"phase": "Running", "containerStatuses": [{"name": "task",
    "restartCount": 0, "state": {"running": {"startedAt": "1970-01-01T00:16:00Z"}}}]})";
constexpr char kPending[] = R"({"phase": "Pending", "conditions": [{"type": "PodScheduled",
    "status": "False", "reason": "Unschedulable", "message":
    "0/1 nodes are available: 1 Insufficient memory. no new claims, preemption: 0/1 nodes."}]})";

std::string Failed(int code, const std::string& reason = "Error") {
  return fmt::format(R"({{"phase": "Failed", "containerStatuses": [{{"name": "task",
      "state": {{"terminated": {{"exitCode": {}, "reason": "{}"}}}}}}]}})",
                     code, reason);
}

std::string Waiting(const std::string& reason) {
  return fmt::format(R"({{"phase": "Pending", "conditions": [{{"type": "PodScheduled",
      "status": "True"}}], "containerStatuses": [{{"name": "task", "image": "img:1",
      "state": {{"waiting": {{"reason": "{}", "message": "no such host"}}}}}}]}})",
                     reason);
}

JobOutline Outline() {
  return {
      .hash = "h",
      .roles = {{JobRole::kWorker, 2, 1, 2222, "j-worker"}, {JobRole::kPs, 1, 0, 2222, "j-ps"}}};
}

std::string Job(const std::string& name, bool anchor, const std::string& status = "{}",
                bool suspend = false, const std::string& more = "") {
  std::string annotations = more;
  if (anchor) {
    std::string text;
    for (const char c : OutlineText(Outline()))
      text += c == '"' ? std::string("\\\"") : std::string(1, c);
    annotations +=
        fmt::format(R"({}"{}": "{}")", more.empty() ? "" : ", ", kOutlineAnnotation, text);
  }
  return fmt::format(
      R"({{"metadata": {{"name": "{}", "uid": "{}", "creationTimestamp": "1970-01-01T00:15:00Z",
          "annotations": {{{}}}}}, "spec": {{"suspend": {}}}, "status": {}}})",
      name, name, annotations, suspend, status);
}

JobStatus StatusOf(const JobSnapshot& snapshot) {
  const auto status = StatusOfSnapshot("j", "n", snapshot, kNow);
  EXPECT_TRUE(status.ok()) << status.status();
  return status.ok() ? *status : JobStatus{};
}

TEST(PodStateTest, WordsForWhatDoesNotRun) {
  const auto words = [](const std::string& status) {
    return StateOfPod(Pod("j", 0, status), {}).reason;
  };
  EXPECT_EQ(words(kPending), "waits for a node: 0/1 nodes are available: 1 Insufficient memory");
  EXPECT_EQ(words(Waiting("ErrImageNeverPull")),
            "image img:1 is not on the node, and may not be pulled");
  EXPECT_EQ(words(Waiting("ImagePullBackOff")), "image img:1 cannot be pulled: no such host");
  EXPECT_EQ(words(Waiting("CreateContainerConfigError")),
            "CreateContainerConfigError: no such host");
  EXPECT_EQ(words(Waiting("ContainerCreating")), "");
  EXPECT_EQ(words(Failed(137, "OOMKilled")), "out of memory: its limit is 2Gi");
  EXPECT_EQ(words(Failed(5)), "exited with code 5");
  EXPECT_EQ(words(Failed(143)), "ended by signal 15");
  EXPECT_EQ(words("{}"), "waits for a node");
}

TEST(PodStateTest, InitContainersFailToo) {
  const PodState pod =
      StateOfPod(Pod("j", 0, R"({"phase": "Failed", "initContainerStatuses": [{"name": "copy",
          "state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": "none"}}}],
          "containerStatuses": [{"name": "task", "state": {"waiting": {"reason":
          "PodInitializing"}}}]})"),
                 {});
  EXPECT_EQ(pod.state, TaskState::kFailed);
  EXPECT_EQ(pod.reason, "init container copy: the command cannot be started: none");
}

TEST(PodStateTest, EventsTellOfVolumes) {
  const std::string event = R"({"type": "Warning", "reason": "FailedMount",
      "message": "no such claim", "involvedObject": {"uid": "u-p"}})";
  const std::string status =
      R"({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]})";
  EXPECT_EQ(StateOfPod(Pod("j", 0, status), {event}).reason, "no such claim");
  EXPECT_EQ(StateOfPod(Pod("j", 0, status, "other"), {event}).reason, "");
}

TEST(PodStateTest, APlaceThatWasTakenAway) {
  const PodState pod =
      StateOfPod(Pod("j", 0, R"({"phase": "Failed", "conditions": [{"type": "DisruptionTarget",
          "status": "True", "reason": "EvictionByEvictionAPI"}]})"),
                 {});
  EXPECT_TRUE(pod.evicted);
  EXPECT_EQ(pod.reason, "was evicted from node n1");
}

TEST(PodStateTest, NoJsonIsNoCrash) {
  for (const std::string text : {"", "[]", "{\"status\": 3, \"metadata\": []}"}) {
    EXPECT_EQ(StateOfPod(text, {"", "[]"}).state, TaskState::kQueued) << text;
  }
}

TEST(KubernetesStatusTest, ARunningJob) {
  const JobStatus status =
      StatusOf({.jobs = {Job("j-worker", true), Job("j-ps", false)},
                .pods = {Pod("j-worker", 0, kRunning), Pod("j-worker", 1, kRunning),
                         Pod("j-ps", 0, kRunning)}});
  EXPECT_EQ(status.state, TaskState::kRunning);
  EXPECT_EQ(status.age_s, 100);
  ASSERT_EQ(status.tasks.size(), 3u);
  EXPECT_EQ(status.tasks[0].name, "j-worker-0");
  EXPECT_TRUE(status.tasks[0].leads);
  EXPECT_FALSE(status.tasks[1].leads);
  EXPECT_EQ(status.tasks[2].address, "j-ps-0.j.n.svc:2222");
  EXPECT_EQ(status.tasks[2].age_s, 40);
}

TEST(KubernetesStatusTest, WhatWaitsIsTheReason) {
  const JobStatus status =
      StatusOf({.jobs = {Job("j-worker", true), Job("j-ps", false)},
                .pods = {Pod("j-worker", 0, kRunning), Pod("j-worker", 1, kPending),
                         Pod("j-ps", 0, kRunning)}});
  EXPECT_EQ(status.state, TaskState::kQueued);
  EXPECT_EQ(status.reason,
            "j-worker-1 waits for a node: 0/1 nodes are available: 1 Insufficient memory; "
            "2 of 3 tasks hold a place, 1 wait");
}

TEST(KubernetesStatusTest, AQuotaSpeaksThroughTheJob) {
  const std::string event = R"({"type": "Warning", "reason": "FailedCreate",
      "message": "exceeded quota", "involvedObject": {"uid": "j-ps"}})";
  const JobStatus status =
      StatusOf({.jobs = {Job("j-worker", true), Job("j-ps", false)}, .events = {event}});
  EXPECT_EQ(status.tasks[2].reason, "exceeded quota");
  EXPECT_EQ(status.tasks[0].reason, "its pod is not made yet");
}

TEST(KubernetesStatusTest, AFailedPodComesBackUntilTheJobHasFailed) {
  JobSnapshot snapshot = {.jobs = {Job("j-worker", true), Job("j-ps", false)},
                          .pods = {Pod("j-worker", 0, Failed(137, "OOMKilled"), "a"),
                                   Pod("j-worker", 0, kRunning, "b", "00:15:30"),
                                   Pod("j-worker", 1, Failed(143)), Pod("j-ps", 0, kRunning)}};
  JobStatus status = StatusOf(snapshot);
  EXPECT_EQ(status.tasks[0].state, TaskState::kRunning);
  EXPECT_EQ(status.tasks[0].restarts, 1);
  EXPECT_EQ(status.tasks[0].exit_code, 137);
  EXPECT_EQ(status.tasks[1].state, TaskState::kRestarting);
  EXPECT_EQ(status.state, TaskState::kRestarting);
  snapshot.jobs[0] = Job("j-worker", true, R"({"conditions": [{"type": "Failed", "status": "True",
      "reason": "PodFailurePolicy", "message": "words"}]})");
  status = StatusOf(snapshot);
  EXPECT_EQ(status.state, TaskState::kFailed);
  EXPECT_EQ(status.reason, "j-worker-1 ended by signal 15");
}

TEST(KubernetesStatusTest, SuccessIsTheJobsEvenWithoutPods) {
  const std::string complete =
      R"({"completedIndexes": "0-1", "conditions": [{"type": "Complete", "status": "True",
          "lastTransitionTime": "1970-01-01T00:15:50Z"}]})";
  const JobStatus status = StatusOf({.jobs = {Job("j-worker", true, complete),
                                              Job("j-ps", false, R"({"completedIndexes": "0"})")}});
  EXPECT_EQ(status.state, TaskState::kSucceeded);
  EXPECT_EQ(status.age_s, 50);
}

TEST(KubernetesStatusTest, SuspendedAndUnfinished) {
  const std::string wish = fmt::format(R"("{}": "true")", kSuspendedAnnotation);
  JobStatus status =
      StatusOf({.jobs = {Job("j-worker", true, "{}", true, wish), Job("j-ps", false, "{}", true)}});
  EXPECT_EQ(status.state, TaskState::kSuspended);
  EXPECT_EQ(status.reason, "");
  status = StatusOf({.jobs = {Job("j-worker", true, "{}", true)}});
  EXPECT_EQ(status.tasks[2].reason, "the submit was not finished: submit again");
  EXPECT_EQ(StatusOfSnapshot("j", "n", {.jobs = {Job("j-ps", false)}}, kNow).status().code(),
            absl::StatusCode::kNotFound);
}

TEST(KubernetesStatusTest, Indexes) {
  EXPECT_TRUE(HasIndex("0-2,5", 2));
  EXPECT_TRUE(HasIndex("0-2,5", 5));
  EXPECT_FALSE(HasIndex("0-2,5", 4));
  EXPECT_FALSE(HasIndex("", 0));
  EXPECT_FALSE(HasIndex("x", 0));
}

TEST(JobOutlineTest, ThereAndBack) {
  JobOutline outline = Outline();
  outline.dynamic_workers = true;
  const auto back = ParseOutline(OutlineText(outline));
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(OutlineText(*back), OutlineText(outline));
  EXPECT_EQ(back->task_count(), 3);
  EXPECT_FALSE(ParseOutline("{\"roles\": [{\"role\": \"king\"}]}").ok());
  EXPECT_FALSE(ParseOutline("[]").ok());
  EXPECT_EQ(OutlineIn("{}").status().code(), absl::StatusCode::kNotFound);
}

TEST(DifferenceTest, NamesFieldsAndBothValues) {
  EXPECT_EQ(DifferenceOf(R"({"a": 1, "q": "1000m", "spec": {"suspend": true}})",
                         R"({"a": 1, "q": "1", "spec": {"suspend": false}, "more": 1})"),
            "");
  EXPECT_EQ(DifferenceOf(R"({"a": 1, "l": [{"name": "x", "v": 1}], "z": "t"})",
                         R"({"a": 2, "l": [{"name": "y"}, {"name": "x", "v": 2}]})", 2),
            "a is 2, the job file gives 1; l[x].v is 2, the job file gives 1; and 2 more");
}

TEST(LogLinesTest, CutAnywhereAndNeverTwice) {
  std::string got;
  LogLines lines([&got](std::string_view line) { got += std::string(line) + "|"; });
  const std::string text = "2026-01-01T00:00:00.1Z one two\n2026-01-01T00:00:00.2Z \n";
  for (const char c : text) lines.Take(std::string(1, c));
  lines.Take("2026-01-01T00:00:00.3Z cu");
  lines.End();
  EXPECT_EQ(lines.last_time(), "2026-01-01T00:00:00.2Z");
  lines.Take(text + "2026-01-01T00:00:00.3Z cut\n");
  EXPECT_EQ(got, "one two||cut|");
}

}  // namespace
}  // namespace capstan
