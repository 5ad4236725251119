// What a supervised task does next: a state machine without processes, sockets or a clock.
//
// A job has leading tasks (the chief, else worker 0; or all workers) and followers (the others).
// Every supervisor calls those of the leading tasks, a follower's every two seconds: so each knows
// that the other is there, and what it hears is in the answer. When a leading task's program has
// ended with 0, its supervisor says so
//   1. to workers and evaluators, which may end by themselves within a grace, and waits for that;
//   2. to servers, whose programs are ended at once;
//   3. and then, that all know ("released"); it exits with 0.
// A follower exits with 0 when it is released, or no leading task is heard for `peer_timeout`. Until
// then it remembers: a leading task that is started again in the middle of the telling hears from it
// that it has succeeded, and goes on telling instead of training.
// Who fails for good says so to its peers; who hears of it, or misses a peer too long, exits with 3.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "task/task_report.h"

namespace capstan {

struct TaskLifeOptions {
  TaskId self;
  std::vector<TaskId> leads;
  std::vector<TaskId> followers;  // those that must be told; who else calls is told too
  bool all_workers = false;       // all workers lead
  std::vector<std::pair<int, int>> final_codes = {{1, 127}};  // first, last
  std::chrono::milliseconds start_timeout{600'000};           // until a peer must have been heard
  std::chrono::milliseconds peer_timeout{300'000};            // of silence of one that was
  std::chrono::milliseconds finish_grace{10'000};      // to end by oneself when the job is done
  std::chrono::milliseconds stop_timeout{60'000};      // from SIGTERM to SIGKILL, by the caller
  std::chrono::milliseconds call_interval{2'000};      // of a follower that is heard
  std::chrono::milliseconds retry_interval{500};       // of one that has something to say
  std::chrono::milliseconds farewell_timeout{10'000};  // for telling of a failure
};

class TaskLife {
 public:
  using Time = std::chrono::microseconds;  // of a clock that never goes back

  TaskLife(TaskLifeOptions options, Time now);

  void NoteProgramEnd(int exit_code, Time now);
  // SIGTERM from outside: what the program ends with, but for 0, is our exit code and no verdict.
  void NoteStopRequest() { stop_requested_ = true; }
  // Said by a peer, as caller or in answer.
  void NoteReport(const TaskReport& report, Time now);
  // A call that Next() asked for is over; `heard`: an answer came, and NoteReport had it.
  void NoteCalled(const TaskId& peer, bool heard, Time now);

  // What we say to `peer`.
  TaskReport ReportTo(const TaskId& peer) const;

  struct Orders {
    bool end_program = false;      // stays true
    std::vector<TaskId> call;      // leading ones; each once, until NoteCalled
    std::optional<int> exit_code;  // the end
    std::vector<std::string> log;  // sentences
  };
  Orders Next(Time now);

  bool is_lead() const { return is_lead_; }

 private:
  struct Peer {
    bool is_lead = false;
    std::optional<Time> last_heard;
    bool calling = false;
    Time call_at{0};
    bool knows = false;     // that it has heard what we have to tell now
    bool ended = false;     // its program
    bool released = false;  // see TaskReport; a follower that has left
    int tries = 0;          // of the telling that goes on
  };
  enum class Telling { kNothing, kFinishers, kServers, kRelease, kFailure, kGone };

  bool IsFinal(int exit_code) const;
  bool job_done() const { return done_.size() == options_.leads.size(); }
  void Watch(Time now);
  void Fail(const std::string& why, Time now);
  void StartTelling(Telling what, Time now);
  bool IsTold(const TaskId& id, const Peer& peer) const;
  bool AllTold() const;
  void TellDone(Time now);
  void FollowDone(Time now, Orders* orders);
  void DecideExit(Time now, Orders* orders);

  const TaskLifeOptions options_;
  const Time start_;
  bool is_lead_ = false;
  std::map<TaskId, Peer> peers_;  // all but self
  std::set<TaskId> done_;         // leading tasks that succeeded
  std::optional<Time> done_at_;   // when the job was known to be done
  std::optional<int> exit_code_;  // of the program
  bool failed_ = false;           // the job, for good
  bool failed_elsewhere_ = false;
  bool stop_requested_ = false;
  Telling telling_ = Telling::kNothing;
  Time telling_since_{0};
  std::vector<std::string> log_;
};

}  // namespace capstan
