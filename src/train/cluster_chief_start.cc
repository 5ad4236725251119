// ClusterChief: the folder, the servers, and the beginning of a generation.
#include <fmt/format.h>

#include <limits>
#include <utility>

#include "data/block_scanner.h"
#include "formats/tensor_bundle_reader.h"
#include "model/model_file.h"
#include "ps/local_fault.h"
#include "ps/setup_message.h"
#include "train/cluster_chief.h"
#include "train/folder_nonce.h"
#include "train/model_state.h"
#include "train/rescue.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTick{2};
constexpr milliseconds kCallDeadline{5'000};
constexpr milliseconds kBeginDeadline{60'000};  // a restore reads files; then it is asked again
constexpr size_t kBlocksAhead = 64;

}  // namespace

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
  ASSIGN_OR_RETURN(nonce_, WriteFolderNonce(*fs_, session_.checkpoint_path, cluster_.incarnation));
  ASSIGN_OR_RETURN(model_, NewModel(spec_));
  files_ = std::make_unique<FileService>(
      fs_, FileServiceOptions{.folder = session_.checkpoint_path,
                              .base_name = session_.checkpoint_name,
                              .servers = static_cast<int>(cluster_.spec.ps.size())});
  checkpoint_ =
      std::make_unique<ClusterCheckpoint>(fs_, transport_, folder_.get(), model_.get(), cluster_,
                                          JoinPath(session_.checkpoint_path, "graph.pbtxt"));
  if (!session_.from_scratch) RETURN_IF_ERROR(JoinRescue());
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

Status ClusterChief::JoinRescue() {
  RunState run{.best_validation = std::numeric_limits<double>::quiet_NaN()};
  if (!first_prefix_.empty()) {
    ASSIGN_OR_RETURN(const auto reader, TensorBundleReader::Open(*fs_, first_prefix_));
    ASSIGN_OR_RETURN(run, ReadRunState(*reader));
  }
  const StatusOr<RescueSet> set =
      FindRescueSet(*fs_, session_.checkpoint_path, run.step, cluster_.mode, job_hash_);
  if (absl::IsNotFound(set.status())) return OkStatus();
  const auto join = [&]() -> Status {
    RETURN_IF_ERROR(set.status());
    // Where the data go on behind that step is not in the parts: the same batches are read again.
    ASSIGN_OR_RETURN(const std::unique_ptr<BatchStream> stream,
                     BatchStream::Open(*fs_, spec_.input, session_.train, run.position));
    std::unique_ptr<Batch> batch;
    for (; run.step < set->step; ++run.step) {
      if (hooks_.stop_requested()) return MakeStatus(absl::StatusCode::kCancelled, "stopped");
      ASSIGN_OR_RETURN(const bool more, stream->Next(&batch));
      if (!more) return Error("the data end with step {}", run.step);
      run.position = batch->position;
      run.examples += batch->size;
    }
    RETURN_IF_ERROR(checkpoint_->Join(set->parts, run));
    RemoveRescueStates(*fs_, *set);
    return OkStatus();
  };
  const std::string from =
      first_prefix_.empty() ? "the beginning" : fmt::format("step {}", run.step);
  if (const Status status = join(); !status.ok()) {
    hooks_.log(
        fmt::format("what servers saved by themselves is left where it is: {}; going on from {}",
                    Message(status), from));
    return OkStatus();
  }
  hooks_.log(fmt::format("what {} servers saved by themselves after step {} is a checkpoint now",
                         set->parts.size(), set->step));
  ASSIGN_OR_RETURN(first_prefix_, folder_->Newest());
  return OkStatus();
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
  setup.folder = session_.checkpoint_path;
  setup.nonce = nonce_;
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    if (cluster_.spec.ps[i] != server.address) continue;
    server_incarnations_[i] = theirs.incarnation;
    files_->Admit(static_cast<int>(i), setup.run, theirs.incarnation);
  }
  return CallAndWait(transport_, server.address, Method::kSetup, setup.Encode(), kCallDeadline)
      .status();
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

// What a checkpoint says of the run, of whatever kind its training was.
Status ClusterChief::ReadStart(const std::string& prefix, RunState* state, LeaseState* leases) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(*fs_, prefix));
  ASSIGN_OR_RETURN(*state, ReadRunState(*reader));
  StatusOr<LeaseState> found = ReadLeaseState(*reader);
  if (found.ok()) {
    *leases = *std::move(found);
    return OkStatus();
  }
  leases->next_block = state->position;
  leases->scanned = -1;
  if (state->position.example != 0) {
    // A synchronous run stopped inside a block: the rest of it is a lease of its own.
    leases->open.push_back({.id = BlockLeaseId(state->position),
                            .start = state->position,
                            .first_index = state->position.batch});
  }
  return OkStatus();
}

Status ClusterChief::BeginGeneration() {
  RunId run;
  {
    MutexLock lock(&mutex_);
    ++run_.generation;
    run = run_;
  }
  has_begun_ = pausing_ = false;
  std::string prefix = first_prefix_;
  if (run.generation > 1) {
    ASSIGN_OR_RETURN(prefix, LocalFault(folder_->Newest()));
    if (session_.from_scratch && !saved_any_) prefix.clear();
  }
  RunState state;
  LeaseState leases{.scanned = 0};
  if (!prefix.empty()) {
    RETURN_IF_ERROR(LocalFault(ReadStart(prefix, &state, &leases)));
    best_validation_ = state.best_validation;
    hooks_.log("Restore session from checkpoint: " + prefix);
  }
  RETURN_IF_ERROR(BeginServers(run, prefix));
  parameters_->SetRun(run);
  base_step_ = reported_step_ = state.step;
  saved_step_ = prefix.empty() ? -1 : state.step;
  examples_before_ = state.examples;
  const bool async = cluster_.mode == TrainMode::kAsync;
  coordinator_->Begin(run, state.step, state.position,
                      async ? leases.open : std::vector<BlockLease>());
  has_begun_ = true;
  if (async) StartScanner(leases);
  // The scanner counts by itself, if it has seen all blocks from the first on.
  const bool counts_by_scanning = async && leases.scanned >= 0;
  if (session_.max_steps == 0 && !counts_by_scanning && example_count_ == nullptr) {
    example_count_ = std::make_unique<ExampleCount>(fs_, spec_.input, session_.train);
  }
  return OkStatus();
}

// All restore at the same time.
Status ClusterChief::BeginServers(const RunId& run, const std::string& prefix) {
  if (!prefix.empty()) files_->SetReadFolder(FolderOf(prefix));
  ControlRequest begin;
  begin.kind = ControlKind::kBegin;
  begin.run = run;
  begin.prefix = prefix;
  ControlRound round(transport_, cluster_.spec.ps, begin, kBeginDeadline);
  while (!round.done()) {
    std::this_thread::sleep_for(kTick);
    if (hooks_.stop_requested()) return MakeStatus(absl::StatusCode::kCancelled, "stopped");
    round.Resend(clock_->Monotonic());
    RETURN_IF_ERROR(HeartbeatIfDue());
  }
  return round.status();
}

void ClusterChief::StartScanner(const LeaseState& leases) {
  InputPosition from = leases.next_block;
  // A block that is open already is passed over.
  if (from.example != 0) from.example = from.batch = 0;
  {
    MutexLock lock(&mutex_);
    skip_first_block_ = leases.next_block.example != 0;
    scanned_ = from;
    scanned_all_ = leases.no_more_blocks;
    scanned_examples_ = leases.scanned;
    scanner_status_ = OkStatus();
  }
  if (leases.no_more_blocks) return coordinator_->SetNoMoreBlocks();
  stop_scanner_ = false;
  scanner_ = std::thread([this, from] { ScanBlocks(from); });
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
      if (scanned_examples_ >= 0) scanned_examples_ += block.examples;
      if (std::exchange(skip_first_block_, false)) continue;
      coordinator_->AddBlock(
          {.id = BlockLeaseId(block.start), .start = block.start, .examples = block.examples});
    }
  };
  const Status status = LocalFault(scan());
  MutexLock lock(&mutex_);
  scanner_status_ = status;
}

}  // namespace capstan
