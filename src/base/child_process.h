// A program in a session of its own that cannot outlive us, nor can anything that it starts.
//
//   we ──fork──▶ guard ──fork──▶ program ──▶ whatever it starts
//    │ control ▶   │   dies with the guard     (orphans fall to the guard)
//    ◀── reports ──┘
//
// The guard is a process of ours without an exec: it takes signals for the program's group over a
// pipe, reports how the program ended, and kills what is left of it. When the pipe closes, because
// we closed it or were killed (kill -9 too), it kills everything at once.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace capstan {

struct ChildOptions {
  std::vector<std::string> command;  // the first word is looked for in PATH if it has no slash
  // Set beside our own environment, in place of what is there.
  std::vector<std::pair<std::string, std::string>> env;
  std::string working_folder;  // "": ours
  bool pipe_output = true;     // stdout and stderr to pipes; else they are ours
  bool null_input = true;      // stdin is /dev/null; else it is ours
};

// One thread at a time.
class ChildProcess {
 public:
  // kNotFound or kInvalidArgument says in one sentence why the program could not be started.
  static StatusOr<std::unique_ptr<ChildProcess>> Start(const ChildOptions& options);
  // Kills what still runs and waits for it.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Of the program, which leads its group.
  pid_t pid() const { return pid_; }
  // Read without blocking; -1 without pipes. At their end everybody who had them is gone. Ours.
  int stdout_fd() const { return stdout_; }
  int stderr_fd() const { return stderr_; }
  // Readable once the program has ended: for poll().
  int end_fd() const { return reports_; }
  // Our own child, for those who reap others (a process with number 1).
  pid_t guard_pid() const { return guard_; }

  // The program's exit code, 128 + signal if one ended it, once it has ended and nothing of its
  // group is left. Never blocks.
  std::optional<int> Poll();
  // Blocks until then.
  int Wait();

  // To the whole group, or to the program only; nothing happens after its end.
  void Signal(int signal, bool group = true);
  // SIGTERM to the group, SIGKILL to all that is left after `grace`.
  void Terminate(std::chrono::milliseconds grace);
  void Kill();

 private:
  ChildProcess() = default;
  bool Receive(bool block);
  void Send(int kind, int value);

  pid_t pid_ = -1, guard_ = -1;
  int control_ = -1, reports_ = -1, stdout_ = -1, stderr_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace capstan
