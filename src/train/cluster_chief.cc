#include "train/cluster_chief.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/random.h"
#include "train/cluster_hello.h"
#include "train/cluster_worker.h"

namespace capstan {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kTick{2};
constexpr milliseconds kCallDeadline{5'000};
constexpr milliseconds kHeartbeat{1'000};  // of servers
constexpr milliseconds kPatience{2'000};   // with a server whose connection breaks
constexpr milliseconds kBetweenCalls{100};
constexpr milliseconds kBetweenNames{10'000};  // of workers that are missing
constexpr milliseconds kLongestWait{500};      // a worker's request for work is held so long

milliseconds Now(Clock* clock) {
  return std::chrono::duration_cast<milliseconds>(clock->Monotonic());
}

double Seconds(microseconds span) { return std::chrono::duration<double>(span).count(); }

}  // namespace

ClusterChief::ClusterChief(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport,
                           ModelSpec spec, const SessionOptions& session,
                           const ClusterOptions& cluster, const SessionHooks& hooks)
    : fs_(fs),
      pool_(pool),
      clock_(clock),
      transport_(transport),
      spec_(std::move(spec)),
      session_(session),
      cluster_(cluster),
      hooks_(hooks),
      job_hash_(JobHash(spec_, session, cluster)) {
  CoordinatorOptions options;
  options.workers = cluster.spec.trainer_count();
  options.leases.mode = cluster.mode;
  options.leases.batch_size = session.train.batch_size;
  options.leases.slices = session.slices;
  options.leases.steps_ahead = 0;  // a worker never waits at a server while slices are free
  options.leases.backup_workers = cluster.backup_workers;
  options.leases.max_staleness = cluster.max_staleness;
  options.worker_timeout = cluster.worker_timeout;
  options.max_steps = session.max_steps;
  coordinator_ = std::make_unique<Coordinator>(options);
  MutexLock lock(&mutex_);
  run_.run = MixBits(cluster.incarnation, 1);
}

ClusterChief::~ClusterChief() {
  StopScanner();
  Close();
}

void ClusterChief::Close() {
  std::vector<Waiting> waiting;
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    waiting.swap(waiting_);
  }
  for (Waiting& one : waiting) {
    one.reply(MakeStatus(absl::StatusCode::kUnavailable, "the chief has ended"));
  }
}

void ClusterChief::Handle(Method method, std::string request, Reply reply) {
  if (method == Method::kHello) return reply(AnswerHello(request));
  if (method == Method::kFile) return files_->Handle(std::move(request), std::move(reply));
  if (method != Method::kLease) {
    return reply(
        Error("the chief was sent a request for a parameter server; are the lists of "
              "hosts the same in all tasks?"));
  }
  const StatusOr<LeaseRequest> lease = LeaseRequest::Decode(request);
  if (!lease.ok()) return reply(lease.status());
  const milliseconds now = Now(clock_);
  StatusOr<LeaseAnswer> answer = coordinator_->Lease(*lease, now);
  if (!answer.ok()) return reply(answer.status());
  const bool waits = answer->kind == LeaseBoard::Grant::Kind::kWait && answer->run == lease->run &&
                     lease->max_slices > 0;
  if (!waits) {
    reply(answer->Encode());
  } else {
    // Asked again, without its reports, whenever something has changed.
    LeaseRequest again;
    again.run = lease->run;
    again.worker = lease->worker;
    again.incarnation = lease->incarnation;
    again.max_slices = lease->max_slices;
    again.block = lease->block;
    again.block_index = lease->block_index;
    MutexLock lock(&mutex_);
    waiting_.push_back({again, std::move(reply), now});
  }
  AnswerWaiting(now);
  bool closed;
  {
    MutexLock lock(&mutex_);
    closed = closed_;
  }
  if (closed) Close();
}

void ClusterChief::AnswerWaiting(milliseconds now) {
  std::vector<Waiting> waiting, still;
  {
    MutexLock lock(&mutex_);
    waiting.swap(waiting_);
  }
  for (Waiting& one : waiting) {
    StatusOr<LeaseAnswer> answer = coordinator_->Lease(one.request, now);
    const bool waits = answer.ok() && answer->kind == LeaseBoard::Grant::Kind::kWait &&
                       answer->run == one.request.run && now - one.since < kLongestWait;
    if (waits) {
      still.push_back(std::move(one));
    } else if (answer.ok()) {
      answer->wait_ms = 1;
      one.reply(answer->Encode());
    } else {
      one.reply(answer.status());
    }
  }
  MutexLock lock(&mutex_);
  for (Waiting& one : still) waiting_.push_back(std::move(one));
}

void ClusterChief::Fail(const Status& status) {
  MutexLock lock(&mutex_);
  failure_ = status;
}

StatusOr<ClusterEnd> ClusterChief::Run() {
  if (fs_->Exists(JoinPath(session_.checkpoint_path, kTrainingDoneFile))) {
    RETURN_IF_ERROR(fs_->Remove(JoinPath(session_.checkpoint_path, kTrainingDoneFile)));
  }
  const Status met_first = MeetServers(cluster_.start_timeout);
  if (absl::IsCancelled(met_first)) return ClusterEnd{.stopped = true};
  RETURN_IF_ERROR(met_first);
  start_ = last_report_ = last_save_ = rate_since_ = clock_->Monotonic();
  for (;;) {
    Status status = BeginGeneration();
    if (status.ok()) {
      StatusOr<bool> done = RunGeneration();
      if (done.ok() && *done) return end_;
      status = done.status();
    }
    StopScanner();
    coordinator_->Suspend();
    checkpoint_->Abandon();
    if (absl::IsCancelled(status)) return ClusterEnd{.stopped = true};
    const bool server_gone =
        absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
    if (!server_gone) return status;
    hooks_.log(Message(status) + "; going back to the last checkpoint when all servers are there");
    const Status met = MeetServers(cluster_.peer_timeout);
    if (absl::IsCancelled(met)) return ClusterEnd{.stopped = true};
    if (absl::IsDeadlineExceeded(met)) {
      return ClusterEnd{.peers_gone = true, .message = Message(met)};
    }
    RETURN_IF_ERROR(met);
  }
}

StatusOr<bool> ClusterChief::RunGeneration() {
  bool stopping = false;
  int64_t last_save_at_stop = 0;
  for (;;) {
    std::this_thread::sleep_for(kTick);
    const milliseconds now = Now(clock_);
    for (const std::string& worker : coordinator_->Tick(now)) {
      hooks_.log(fmt::format("{} says nothing for {:.0f} s: its leases are free again", worker,
                             Seconds(cluster_.worker_timeout)));
    }
    AnswerWaiting(now);
    {
      MutexLock lock(&mutex_);
      RETURN_IF_ERROR(scanner_status_);
      RETURN_IF_ERROR(failure_);
    }
    RETURN_IF_ERROR(HeartbeatIfDue());
    RETURN_IF_ERROR(ReportIfDue(false));
    if (coordinator_->all_done()) {
      RETURN_IF_ERROR(FinishJob());
      return true;
    }
    if (!stopping && hooks_.stop_requested()) {
      stopping = true;
      last_save_at_stop = saves_;
      hooks_.log("asked to stop: the chief makes a checkpoint first");
    }
    RETURN_IF_ERROR(AdvanceCheckpoint(stopping));
    if (stopping && saves_ > last_save_at_stop) {
      end_ = {.stopped = true};
      return true;
    }
  }
}

Status ClusterChief::HeartbeatIfDue() {
  if (clock_->Monotonic() - last_heartbeat_ < kHeartbeat) return OkStatus();
  last_heartbeat_ = clock_->Monotonic();
  AwaitsWorkers();
  return CheckServers();
}

bool ClusterChief::WasStartedAgain(size_t server) {
  const HelloMessage hello = MakeHello(cluster_, fmt::format("ps {}", server), job_hash_);
  const StatusOr<std::string> bytes = CallAndWait(transport_, cluster_.spec.ps[server],
                                                  Method::kHello, hello.Encode(), kCallDeadline);
  if (!bytes.ok()) {
    std::this_thread::sleep_for(kBetweenCalls);
    return !absl::IsUnavailable(bytes.status());
  }
  const StatusOr<HelloMessage> theirs = HelloMessage::Decode(*bytes);
  return !theirs.ok() || theirs->incarnation != server_incarnations_[server];
}

bool ClusterChief::AwaitsWorkers() {
  const microseconds now = clock_->Monotonic();
  if (now - start_ >= cluster_.start_timeout) return false;
  const std::vector<std::string> missing = coordinator_->missing_workers();
  if (missing.empty()) return false;
  if (now - std::max(last_named_, start_) >= kBetweenNames) {
    last_named_ = now;
    hooks_.log(
        fmt::format("since {:.0f} s without {}", Seconds(now - start_), fmt::join(missing, ", ")));
  }
  return true;
}

Status ClusterChief::AskServer(size_t server, const ControlRequest& request) {
  ASSIGN_OR_RETURN(const std::string bytes,
                   CallAndWait(transport_, cluster_.spec.ps[server], Method::kControl,
                               request.Encode(), kCallDeadline));
  ASSIGN_OR_RETURN(const ControlAnswer answer, ControlAnswer::Decode(bytes));
  if (answer.incarnation == server_incarnations_[server]) return OkStatus();
  return MakeStatus(absl::StatusCode::kAborted, "it was started again");
}

Status ClusterChief::CheckServers() {
  ControlRequest status;
  status.kind = ControlKind::kStatus;
  if (has_begun_) status.finished_step = coordinator_->finished_step();
  {
    MutexLock lock(&mutex_);
    status.run = run_;
  }
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    const auto start = clock_->Monotonic();
    Status answer;
    do {
      answer = AskServer(i, status);
      // A broken connection is no lost server, unless it was started again.
    } while (absl::IsUnavailable(answer) && clock_->Monotonic() - start < kPatience &&
             !hooks_.stop_requested() && !WasStartedAgain(i));
    if (!answer.ok()) {
      return MakeStatus(
          absl::StatusCode::kUnavailable,
          fmt::format("ps {} ({}) is lost: {}", i, cluster_.spec.ps[i], Message(answer)));
    }
  }
  return OkStatus();
}

}  // namespace capstan
