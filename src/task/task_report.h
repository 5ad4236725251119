// What one supervisor says to another: one line each way over a connection of its own.
//
//   listener: capstan-task 1 NONCE
//   caller:   CAPSTAN-LINE nonce=NONCE mac=HEX        mac = HMAC(token, "call " listener's nonce line)
//   listener: CAPSTAN-LINE mac=HEX                    mac = HMAC(token, "answer " caller's nonce line)
//
// A line is "job=clicks from=ps-0 to=worker-0 state=running ended=0 code=0 done=worker-0,worker-2".
// The token itself is never sent; nonces are of one connection, so nothing can be said again later.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

enum class TaskKind { kChief, kWorker, kPs, kEvaluator };
std::string_view NameOf(TaskKind kind);

struct TaskId {
  TaskKind kind = TaskKind::kWorker;
  int index = 0;

  std::string Text() const;  // "worker-3"
  auto operator<=>(const TaskId&) const = default;
};
StatusOr<TaskKind> ParseTaskKind(std::string_view text);
StatusOr<TaskId> ParseTaskId(std::string_view text);

struct TaskReport {
  enum class State {
    kRunning,
    kSucceeded,  // the program of a leading task ended with 0: its part of the job is done
    kReleased,   // nobody needs to wait for this task: it succeeded and all know, or it just left
    kFailed,     // for good: with its own code, or because a peer did
  };
  TaskId from, to;
  State state = State::kRunning;
  bool ended = false;  // the program, however
  int exit_code = 0;
  std::vector<TaskId> done;  // leading tasks known to have succeeded

  bool operator==(const TaskReport&) const = default;
};

std::string EncodeReport(const std::string& job, const TaskReport& report);
// kPermissionDenied for another job, kDataLoss for what is no report.
StatusOr<TaskReport> DecodeReport(std::string_view line, const std::string& job);

}  // namespace capstan
