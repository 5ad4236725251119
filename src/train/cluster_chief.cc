#include "train/cluster_chief.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/random.h"
#include "data/block_scanner.h"
#include "formats/tensor_bundle_reader.h"
#include "model/model_file.h"
#include "ps/setup_message.h"
#include "train/cluster_hello.h"
#include "train/cluster_worker.h"
#include "train/model_state.h"
#include "train/saved_model_export.h"

namespace capstan {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kTick{2};
constexpr milliseconds kCallDeadline{5'000};
constexpr milliseconds kBeginDeadline{600'000};  // a restore reads files
constexpr milliseconds kHeartbeat{1'000};        // of servers
constexpr milliseconds kPatience{2'000};         // with a server whose connection breaks
constexpr milliseconds kBetweenCalls{100};
constexpr milliseconds kBetweenNames{10'000};  // of workers that are missing
constexpr milliseconds kLongestWait{500};      // a worker's request for work is held so long
constexpr milliseconds kGoodbye{10'000};       // workers and servers get so long to hear of the end
constexpr size_t kBlocksAhead = 64;

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

StatusOr<std::string> ClusterChief::AnswerHello(const std::string& request) {
  ASSIGN_OR_RETURN(const HelloMessage theirs, HelloMessage::Decode(request));
  HelloMessage ours = MakeHello(cluster_, theirs.task, job_hash_);
  RETURN_IF_ERROR(CompareHello(ours, theirs));
  MutexLock lock(&mutex_);
  ours.run = run_;
  return ours.Encode();
}

Status ClusterChief::Open() {
  ASSIGN_OR_RETURN(CheckpointFolder folder,
                   CheckpointFolder::Open(fs_, session_.checkpoint_path, session_.checkpoint_name,
                                          session_.keep_checkpoints));
  folder_ = std::make_unique<CheckpointFolder>(std::move(folder));
  if (session_.from_scratch) folder_->StartOver();
  ASSIGN_OR_RETURN(const std::string newest, folder_->Newest());
  if (!newest.empty() && !session_.from_scratch) {
    RETURN_IF_ERROR(AdoptMeasuredFeatures(*fs_, newest, &spec_));
  } else {
    RETURN_IF_ERROR(
        MeasureStandardisation(*fs_, session_.train, kStandardiseExamples, &spec_.input));
  }
  first_prefix_ = session_.from_scratch ? "" : newest;
  ASSIGN_OR_RETURN(model_, NewModel(spec_));
  checkpoint_ =
      std::make_unique<ClusterCheckpoint>(fs_, transport_, folder_.get(), model_.get(), cluster_,
                                          JoinPath(session_.checkpoint_path, "graph.pbtxt"));
  RemoteParametersOptions options;
  options.servers = cluster_.spec.ps;
  options.worker = cluster_.spec.trainer_count();  // nobody's number: only looks things up
  options.peer_timeout = cluster_.peer_timeout;
  parameters_ = std::make_unique<RemoteParameters>(model_->tables(), model_->dense_variables(),
                                                   options, transport_);
  if (!session_.validation.paths.empty()) {
    ASSIGN_OR_RETURN(scorer_, Scorer::Create(model_.get(), parameters_.get(), pool_,
                                             session_.validation.batch_size));
  }
  if (!session_.output_path.empty()) {
    ASSIGN_OR_RETURN(events_, SessionEvents::Open(*fs_, session_.output_path, *clock_, *model_));
  }
  best_validation_ = std::numeric_limits<double>::quiet_NaN();
  server_incarnations_.assign(cluster_.spec.ps.size(), 0);
  return OkStatus();
}

void ClusterChief::Fail(const Status& status) {
  MutexLock lock(&mutex_);
  failure_ = status;
}

Status ClusterChief::GreetServer(const PeerAddress& server) {
  const HelloMessage hello = MakeHello(cluster_, server.task, job_hash_);
  ASSIGN_OR_RETURN(const std::string bytes, CallAndWait(transport_, server.address, Method::kHello,
                                                        hello.Encode(), kCallDeadline));
  ASSIGN_OR_RETURN(const HelloMessage theirs, HelloMessage::Decode(bytes));
  SetupMessage setup;
  setup.chief = hello;
  {
    MutexLock lock(&mutex_);
    setup.run = run_.run;
  }
  setup.model_file = ToModelFile(spec_);
  setup.mode = cluster_.mode;
  setup.slices = session_.slices;
  RETURN_IF_ERROR(
      CallAndWait(transport_, server.address, Method::kSetup, setup.Encode(), kCallDeadline)
          .status());
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    if (cluster_.spec.ps[i] == server.address) server_incarnations_[i] = theirs.incarnation;
  }
  return OkStatus();
}

Status ClusterChief::MeetServers(milliseconds timeout) {
  std::vector<PeerAddress> servers;
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    servers.push_back({fmt::format("ps {}", i), cluster_.spec.ps[i]});
  }
  return WaitForPeers(
      servers, [this](const PeerAddress& server) { return GreetServer(server); }, timeout, clock_,
      hooks_);
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

Status ClusterChief::BeginGeneration() {
  RunId run;
  {
    MutexLock lock(&mutex_);
    ++run_.generation;
    run = run_;
  }
  std::string prefix = first_prefix_;
  if (run.generation > 1) {
    ASSIGN_OR_RETURN(prefix, folder_->Newest());
    if (session_.from_scratch && !saved_any_) prefix.clear();
  }
  RunState state;
  LeaseState leases;
  if (!prefix.empty()) {
    ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                     TensorBundleReader::Open(*fs_, prefix));
    ASSIGN_OR_RETURN(state, ReadRunState(*reader));
    best_validation_ = state.best_validation;
    const StatusOr<LeaseState> found = ReadLeaseState(*reader);
    if (found.ok()) {
      leases = *found;
    } else {
      leases.next_block = state.position;
      if (cluster_.mode == TrainMode::kAsync && state.position.example != 0) {
        // A synchronous run stopped inside a block: the rest of it is a lease of its own.
        leases.open.push_back({.id = BlockLeaseId(state.position),
                               .start = state.position,
                               .first_index = state.position.batch});
      }
    }
    hooks_.log("Restore session from checkpoint: " + prefix);
  }
  ControlRequest begin;
  begin.kind = ControlKind::kBegin;
  begin.run = run;
  begin.prefix = prefix;
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    const Status status = CallAndWait(transport_, cluster_.spec.ps[i], Method::kControl,
                                      begin.Encode(), kBeginDeadline)
                              .status();
    RETURN_IF_ERROR(Annotate(status, fmt::format("ps {} ({})", i, cluster_.spec.ps[i])));
  }
  parameters_->SetRun(run);
  base_step_ = state.step;
  reported_step_ = state.step;
  saved_step_ = prefix.empty() ? -1 : state.step;
  examples_before_ = state.examples;
  coordinator_->Begin(run, state.step, state.position, leases.open);
  if (cluster_.mode == TrainMode::kSync && session_.max_steps > 0) {
    coordinator_->SetStepLimit(session_.max_steps);
  }
  if (cluster_.mode == TrainMode::kAsync) {
    if (leases.no_more_blocks) {
      coordinator_->SetNoMoreBlocks();
    } else {
      InputPosition from = leases.next_block;
      if (from.example != 0) {  // that block is open already: it is passed over
        from.example = from.batch = 0;
      }
      {
        MutexLock lock(&mutex_);
        skip_first_block_ = leases.next_block.example != 0;
        scanned_ = from;
        scanner_status_ = OkStatus();
      }
      stop_scanner_ = false;
      scanner_ = std::thread([this, from] { ScanBlocks(from); });
    }
  }
  return OkStatus();
}

void ClusterChief::StopScanner() {
  stop_scanner_ = true;
  if (scanner_.joinable()) scanner_.join();
}

void ClusterChief::ScanBlocks(InputPosition from) {
  const auto scan = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<BlockScanner> scanner,
                     BlockScanner::Open(*fs_, spec_.input, session_.train, from));
    ScannedBlock block;
    for (;;) {
      while (coordinator_->free_blocks() >= kBlocksAhead && !stop_scanner_) {
        std::this_thread::sleep_for(kTick);
      }
      if (stop_scanner_) return OkStatus();
      ASSIGN_OR_RETURN(const bool more, scanner->Next(&block));
      if (!more) {
        coordinator_->SetNoMoreBlocks();
        MutexLock lock(&mutex_);
        scanned_all_ = true;
        return OkStatus();
      }
      // The two change together for whoever makes a checkpoint.
      MutexLock lock(&mutex_);
      scanned_ = scanner->position();
      if (std::exchange(skip_first_block_, false)) continue;
      coordinator_->AddBlock(
          {.id = BlockLeaseId(block.start), .start = block.start, .examples = block.examples});
    }
  };
  const Status status = scan();
  MutexLock lock(&mutex_);
  scanner_status_ = status;
}

StatusOr<bool> ClusterChief::RunGeneration() {
  auto last_heartbeat = clock_->Monotonic();
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
    if (clock_->Monotonic() - last_heartbeat >= kHeartbeat) {
      last_heartbeat = clock_->Monotonic();
      AwaitsWorkers();
      RETURN_IF_ERROR(CheckServers());
    }
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

Status ClusterChief::CheckServers() {
  ControlRequest status;
  status.kind = ControlKind::kStatus;
  status.finished_step = coordinator_->finished_step();
  {
    MutexLock lock(&mutex_);
    status.run = run_;
  }
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    const auto start = clock_->Monotonic();
    Status answer;
    do {
      answer = CallAndWait(transport_, cluster_.spec.ps[i], Method::kControl, status.Encode(),
                           kCallDeadline)
                   .status();
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
