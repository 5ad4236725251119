#include "task/task_life.h"

#include <algorithm>

#include "base/exit_code.h"

namespace capstan {
namespace {

double Seconds(std::chrono::microseconds span) { return static_cast<double>(span.count()) / 1e6; }

bool Has(const std::vector<TaskId>& tasks, const TaskId& task) {
  return std::find(tasks.begin(), tasks.end(), task) != tasks.end();
}

}  // namespace

TaskLife::TaskLife(TaskLifeOptions options, Time now)
    : options_(std::move(options)), start_(now), is_lead_(Has(options_.leads, options_.self)) {
  for (const TaskId& id : options_.leads) peers_[id] = {.is_lead = true};
  for (const TaskId& id : options_.followers) peers_[id];
  peers_.erase(options_.self);
}

bool TaskLife::IsFinal(int exit_code) const {
  return std::any_of(
      options_.final_codes.begin(), options_.final_codes.end(),
      [&](const auto& range) { return exit_code >= range.first && exit_code <= range.second; });
}

void TaskLife::Fail(const std::string& why, Time now) {
  if (failed_ || job_done()) return;
  failed_ = true;
  log_.push_back(why);
  StartTelling(Telling::kFailure, now);
}

void TaskLife::NoteProgramEnd(int exit_code, Time now) {
  exit_code_ = exit_code;
  if (done_.contains(options_.self) || failed_) return;
  if (stop_requested_ && exit_code != 0) return;
  if (exit_code == 0 && is_lead_) {
    done_.insert(options_.self);
    log_.push_back("the program has ended with 0: the other tasks are told");
    StartTelling(options_.all_workers ? Telling::kServers : Telling::kFinishers, now);
  } else if (exit_code != 0 && !job_done() && IsFinal(exit_code)) {
    Fail(
        fmt::format("the program has ended with {}, for good: the other tasks are told", exit_code),
        now);
  } else if (exit_code == 0 && !job_done()) {
    StartTelling(Telling::kGone, now);
  }
}

void TaskLife::NoteReport(const TaskReport& report, Time now) {
  if (report.from == options_.self) return;
  Peer& peer = peers_[report.from];
  peer.last_heard = now;
  peer.ended = report.ended;
  if (report.state == TaskReport::State::kFailed) {
    if (!failed_ && !job_done()) {
      failed_elsewhere_ = true;
      Fail(fmt::format("{} has failed for good (exit code {})", report.from.Text(),
                       report.exit_code),
           now);
    }
    peer.knows |= telling_ == Telling::kFailure;
  }
  // Who calls hears of these in our answer.
  const bool is_in_answer = telling_ == Telling::kRelease || telling_ == Telling::kFailure;
  if (is_lead_ && is_in_answer) peer.knows = true;
  if (is_lead_ && telling_ == Telling::kServers) peer.knows |= Has(report.done, options_.self);
  const bool had_succeeded = done_.contains(options_.self);
  for (const TaskId& id : report.done) {
    if (Has(options_.leads, id)) done_.insert(id);
  }
  peer.released = report.state == TaskReport::State::kReleased;
  if (job_done() && !done_at_.has_value()) done_at_ = now;
  if (is_lead_ && !had_succeeded && done_.contains(options_.self) && !failed_) {
    log_.push_back("an earlier run of this task has succeeded, says " + report.from.Text() +
                   ": the other tasks are told");
    StartTelling(options_.all_workers ? Telling::kServers : Telling::kFinishers, now);
  }
}

void TaskLife::NoteCalled(const TaskId& id, bool heard, Time now) {
  Peer& peer = peers_[id];
  peer.calling = false;
  ++peer.tries;
  const bool hurry = telling_ != Telling::kNothing || job_done() || !peer.last_heard.has_value();
  peer.call_at = now + (hurry ? options_.retry_interval : options_.call_interval);
  if (heard && telling_ == Telling::kGone) peer.knows = true;
}

TaskReport TaskLife::ReportTo(const TaskId& to) const {
  TaskReport report{.from = options_.self, .to = to, .ended = exit_code_.has_value()};
  report.exit_code = exit_code_.value_or(0);
  // A server hears that the job is done after those who may still need it.
  const bool is_early = to.kind == TaskKind::kPs && is_lead_ && telling_ == Telling::kFinishers;
  for (const TaskId& id : done_) {
    if (!is_early || id != options_.self) report.done.push_back(id);
  }
  if (failed_) {
    report.state = TaskReport::State::kFailed;
  } else if (done_.contains(options_.self) && !is_early) {
    report.state = telling_ == Telling::kRelease ? TaskReport::State::kReleased
                                                 : TaskReport::State::kSucceeded;
  } else if (telling_ == Telling::kGone) {
    report.state = TaskReport::State::kReleased;
  }
  return report;
}

void TaskLife::StartTelling(Telling what, Time now) {
  telling_ = what;
  telling_since_ = now;
  for (auto& [id, peer] : peers_) {
    peer.call_at = now;
    peer.tries = 0;
    peer.knows = false;
  }
}

// Whether `peer` needs no further call in the telling that goes on.
bool TaskLife::IsTold(const TaskId& id, const Peer& peer) const {
  const bool is_server = id.kind == TaskKind::kPs;
  switch (telling_) {
    case Telling::kNothing:
      // Followers ask the leading ones until these release them.
      return is_lead_ || !peer.is_lead || peer.released;
    case Telling::kFinishers:
      return peer.is_lead || is_server || peer.ended || peer.released;
    case Telling::kServers:
      // Other leading tasks are told once, so that a server that is started again hears of us.
      // Workers and evaluators had their time before.
      if (peer.is_lead) return peer.tries > 0;
      return peer.knows || peer.released || (!is_server && !options_.all_workers);
    case Telling::kRelease:
      return peer.is_lead || peer.knows || peer.released;
    case Telling::kFailure:
      // A follower's failure is the leading ones' to spread.
      return peer.knows || peer.released || (!is_lead_ && !peer.is_lead);
    case Telling::kGone:
      return peer.knows || !peer.is_lead;
  }
  return true;
}

void TaskLife::Watch(Time now) {
  if (job_done() || failed_ || exit_code_.has_value()) return;
  for (const auto& [id, peer] : peers_) {
    // Leading tasks and servers need each other; workers come and go, evaluators too.
    const bool is_needed = is_lead_ ? id.kind == TaskKind::kPs : peer.is_lead;
    if (!is_needed || peer.released || done_.contains(id)) continue;
    const Time since = peer.last_heard.value_or(start_);
    const Time limit = peer.last_heard.has_value() ? options_.peer_timeout : options_.start_timeout;
    if (now - since < limit) continue;
    failed_elsewhere_ = true;
    return Fail(peer.last_heard.has_value()
                    ? fmt::format("{} is gone: not heard for {:.0f} s", id.Text(), Seconds(limit))
                    : fmt::format("{} was not heard within {:.0f} s", id.Text(), Seconds(limit)),
                now);
  }
}

// One phase after the other; each has an end of its own.
bool TaskLife::AllTold() const {
  return std::all_of(peers_.begin(), peers_.end(),
                     [&](const auto& entry) { return IsTold(entry.first, entry.second); });
}

// One phase after the other; each has an end of its own.
void TaskLife::TellDone(Time now) {
  const Time span = now - telling_since_;
  if (telling_ == Telling::kFinishers &&
      (AllTold() || span > options_.finish_grace + options_.stop_timeout)) {
    return StartTelling(Telling::kServers, now);
  }
  if (telling_ == Telling::kServers && exit_code_.has_value() &&
      (AllTold() || span > options_.peer_timeout)) {
    StartTelling(Telling::kRelease, now);
  }
}

void TaskLife::FollowDone(Time now, Orders* orders) {
  if (!done_at_.has_value()) return;
  const bool is_server = options_.self.kind == TaskKind::kPs;
  if (is_server || now - *done_at_ >= options_.finish_grace) orders->end_program = true;
}

void TaskLife::DecideExit(Time now, Orders* orders) {
  if (!exit_code_.has_value()) return;
  const bool all_told = AllTold();
  const bool is_late = now - telling_since_ > options_.farewell_timeout;
  if (failed_) {
    if (!all_told && !is_late) return;
    orders->exit_code = failed_elsewhere_ ? int{kExitPeersGone} : *exit_code_;
  } else if (is_lead_ && done_.contains(options_.self)) {
    if (telling_ == Telling::kRelease && (all_told || is_late)) orders->exit_code = kExitOk;
  } else if (!is_lead_ && job_done()) {
    bool released = true;
    for (const auto& [id, peer] : peers_) {
      // Of one that we never heard ourselves others have told us: it has left.
      const bool is_silent = !peer.last_heard.has_value() ||
                             now - std::max(*peer.last_heard, *done_at_) > options_.peer_timeout;
      if (peer.is_lead && !peer.released && !is_silent) released = false;
    }
    if (released) orders->exit_code = kExitOk;
  } else if (telling_ != Telling::kGone || all_told || is_late) {
    orders->exit_code = *exit_code_;
  }
}

TaskLife::Orders TaskLife::Next(Time now) {
  Orders orders;
  Watch(now);
  if (is_lead_ && done_.contains(options_.self)) TellDone(now);
  if (!is_lead_ && job_done()) FollowDone(now, &orders);
  // A leading task whose earlier run has succeeded need not train again.
  if (failed_ || (is_lead_ && done_.contains(options_.self))) orders.end_program = true;
  for (auto& [id, peer] : peers_) {
    // Followers are not called: they do.
    if (!peer.is_lead || peer.calling || now < peer.call_at || IsTold(id, peer)) continue;
    peer.calling = true;
    orders.call.push_back(id);
  }
  DecideExit(now, &orders);
  orders.log = std::exchange(log_, {});
  return orders;
}

}  // namespace capstan
