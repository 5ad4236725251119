// Runs a task's program beside its peers' supervisors: TaskLife with processes, sockets and a clock.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/child_process.h"
#include "base/clock.h"
#include "base/mutex.h"
#include "task/call_threads.h"
#include "task/peer_link.h"
#include "task/socket.h"
#include "task/task_life.h"

namespace capstan {

struct SupervisorOptions {
  TaskLifeOptions life;
  std::vector<HostPort> lead_hosts;  // of life.leads
  LinkOptions link;
  ChildOptions program;
  // Exit code of the program → the one that counts.
  std::function<int(int)> exit_code_for = [](int code) { return code; };
  // From one thread at a time.
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

class Supervisor {
 public:
  // `listener` is a listening socket, or none (-1): then no peer can call.
  Supervisor(SupervisorOptions options, Socket listener, Clock* clock);

  // Until the end; the exit code. `signals`: a file from which numbers of signals for the program
  // are read, one byte each.
  int Run(int signals);

 private:
  TaskLife::Time Now() { return clock_->Monotonic(); }
  void StartProgram();
  void TakeSignals(int signals);
  void TakeCaller();
  void Call(const TaskId& peer);
  // The exit code when it is time.
  std::optional<int> Advance();

  const SupervisorOptions options_;
  const Socket listener_;
  Clock* const clock_;
  std::unique_ptr<ChildProcess> program_;
  bool ending_ = false;

  Mutex mutex_;
  TaskLife life_ GUARDED_BY(mutex_);
  std::vector<std::string> refusals_ GUARDED_BY(mutex_);  // each is logged once
  std::vector<std::string> log_ GUARDED_BY(mutex_);
  // Last: their threads use what is above.
  CallThreads answers_{4}, calls_{4};
};

}  // namespace capstan
