// What the end of a task means for the job: one table, the same on all engines. Kubernetes executes
// it as podFailurePolicy; the local and the Docker engine ask it.
//
//   exit 0 ─────────────── succeed
//   evicted, node lost ─── retry, free of charge
//   any other code ─────── first rule that holds it; none: TFJob's 1–127 fail, 128 and above retry
//   retry, limit used up ─ the job fails (or goes on without the task, where `at_limit` says so)
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

enum class FailureAction {
  kSucceed,  // the task is done
  kRetry,    // starts again, charged to its limit
  kGiveUp,   // this task is given up, the job goes on without it
  kFailJob,  // the job has failed
};
// "succeed", "retry", "give_up", "fail": the words of job files.
std::string_view NameOf(FailureAction action);
StatusOr<FailureAction> ParseFailureAction(std::string_view word);

// Exit codes first to last (1 to 255, both included).
struct FailureRule {
  int first = 1;
  int last = 255;
  FailureAction action = FailureAction::kFailJob;

  bool operator==(const FailureRule&) const = default;
};

// "137" or "1-127"; the rule's action is the caller's.
StatusOr<FailureRule> ParseExitCodes(std::string_view text);

// How a task ended.
struct TaskEnd {
  int exit_code = 0;     // 128 + signal for a process that a signal ended
  bool evicted = false;  // the engine took its place away: drain, preemption, lost node
};

struct FailureTable {
  std::vector<FailureRule> rules;  // first match counts
  int retry_limit = 6;             // restarts of one task without progress in between
  FailureAction at_limit = FailureAction::kFailJob;  // or kGiveUp

  // The action by codes alone, limits aside. `exit_code` 0 succeeds.
  FailureAction ActionFor(int exit_code) const;
  // `retries`: of this task since its last progress. Never kRetry for a failure beyond the limit.
  FailureAction ActionFor(const TaskEnd& end, int retries) const;

  // The table without gaps, in order of codes, neighbours of one action joined: 1 to 255.
  std::vector<FailureRule> Ranges() const;

  bool operator==(const FailureTable&) const = default;
};

// The retries of one task. Progress (a step further than any before) gives the whole limit back;
// Kubernetes cannot do that, there the limit is of all restarts.
class RetryCount {
 public:
  int retries() const { return retries_; }
  void AddRetry() { ++retries_; }
  void NoteStep(int64_t step);

 private:
  int retries_ = 0;
  int64_t best_step_ = -1;
};

// Before the restart with this number (from 1): 1 s, 2 s, 4 s … at most a minute.
std::chrono::milliseconds RetryDelay(int retry);

}  // namespace capstan
