#include "train/cluster_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "base/random.h"
#include "model/model_file.h"
#include "train/cluster_hello.h"

namespace capstan {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr milliseconds kLeaseDeadline{5'000};
constexpr milliseconds kRetry{200};
// Steps behind the newest that a slice may still be asked for.
constexpr size_t kBatchesKept = 4;
constexpr int64_t kTrainWindow = 10000;  // examples that train_acc and train_auc look back

uint64_t HashText(uint64_t hash, std::string_view text) {
  for (const char c : text) hash = MixBits(hash, static_cast<unsigned char>(c));
  return hash;
}

}  // namespace

uint64_t JobHash(const ModelSpec& spec, const SessionOptions& session,
                 const ClusterOptions& cluster) {
  const BatchStreamOptions& t = session.train;
  // Means are measured by each task on the same files; the precision may differ in async.
  ModelSpec plain = spec;
  for (FeatureSpec& feature : plain.input.features) {
    feature.mean.clear();
    feature.stddev.clear();
  }
  uint64_t hash = HashText(1, ToModelFile(plain));
  for (const int64_t number :
       {int64_t{t.batch_size}, t.epochs, t.shuffle_block, static_cast<int64_t>(t.seed),
        static_cast<int64_t>(t.paths.size()), int64_t{session.slices},
        static_cast<int64_t>(cluster.mode), session.max_steps, t.max_bad_records}) {
    hash = MixBits(hash, static_cast<uint64_t>(number));
  }
  return hash;
}

ClusterWorker::ClusterWorker(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport,
                             const ModelSpec& spec, const SessionOptions& session,
                             const ClusterOptions& cluster, const SessionHooks& hooks)
    : fs_(fs),
      pool_(pool),
      clock_(clock),
      transport_(transport),
      spec_(spec),
      session_(session),
      cluster_(cluster),
      hooks_(hooks),
      trainer_index_(cluster.spec.role == TaskRole::kChief
                         ? static_cast<int>(cluster.spec.workers.size())
                         : cluster.spec.index) {}

ClusterWorker::~ClusterWorker() = default;

Status ClusterWorker::Open() {
  ASSIGN_OR_RETURN(model_, NewModel(spec_));
  {
    MutexLock lock(&window_mutex_);
    window_ = std::make_unique<TrainingWindow>(spec_, kTrainWindow);
  }
  RemoteParametersOptions options;
  options.mode = cluster_.mode;
  options.servers = cluster_.spec.ps;
  options.worker = trainer_index_;
  options.format = cluster_.wire_format;
  options.peer_timeout = cluster_.peer_timeout;
  options.incarnation = cluster_.incarnation;
  parameters_ = std::make_unique<RemoteParameters>(model_->tables(), model_->dense_variables(),
                                                   options, transport_);
  const int batch = session_.train.batch_size;
  if (cluster_.mode == TrainMode::kSync) {
    ASSIGN_OR_RETURN(slice_trainer_, SliceTrainer::Create(model_.get(), parameters_.get(), pool_,
                                                          session_.slices, batch));
  } else {
    ASSIGN_OR_RETURN(
        trainer_, Trainer::Create(model_.get(), parameters_.get(), pool_, session_.slices, batch));
  }
  return OkStatus();
}

Status ClusterWorker::MeetChief() {
  report_.worker = trainer_index_;
  report_.incarnation = cluster_.incarnation;
  const HelloMessage hello = MakeHello(cluster_, cluster_.spec.chief.empty() ? "worker 0" : "chief",
                                       JobHash(spec_, session_, cluster_));
  return WaitForPeers(
      {{hello.called_task, cluster_.spec.chief_address()}},
      [&](const PeerAddress& peer) -> Status {
        ASSIGN_OR_RETURN(
            const std::string answer,
            CallAndWait(transport_, peer.address, Method::kHello, hello.Encode(), kLeaseDeadline));
        return HelloMessage::Decode(answer).status();
      },
      cluster_.start_timeout, clock_, hooks_);
}

StatusOr<ClusterEnd> ClusterWorker::Run() {
  RETURN_IF_ERROR(MeetChief());
  while (!hooks_.stop_requested()) {
    const auto start = clock_->Monotonic();
    StatusOr<LeaseAnswer> answer = AskForWork(true);
    Spent(&Statistics::lease_seconds, start);
    if (!answer.ok() && absl::IsCancelled(answer.status())) break;
    if (!answer.ok()) return answer.status();
    if (answer->run != run_) {
      RETURN_IF_ERROR(BeginRun(*answer));
      continue;
    }
    using Kind = LeaseBoard::Grant::Kind;
    if (answer->kind == Kind::kDone) {
      report_.leaves = true;
      AskForWork(false).status().IgnoreError();  // the chief need not wait for this worker
      return ClusterEnd();
    }
    Status status;
    if (answer->kind == Kind::kWait) {
      const auto wait_start = clock_->Monotonic();
      std::this_thread::sleep_for(milliseconds(std::clamp<int64_t>(answer->wait_ms, 1, 1000)));
      Spent(&Statistics::lease_seconds, wait_start);
    } else if (answer->kind == Kind::kSlices) {
      status = DoSlices(*answer);
    } else {
      status = DoBatch(*answer);
    }
    // The generation is over: the next answer tells where to go on.
    if (absl::IsAborted(status)) continue;
    RETURN_IF_ERROR(status);
  }
  return ClusterEnd{.stopped = true};
}

StatusOr<LeaseAnswer> ClusterWorker::AskForWork(bool wants_work) {
  report_.run = run_;
  report_.max_slices = wants_work ? session_.slices : 0;  // the chief gives it its share
  const auto start = clock_->Monotonic();
  bool was_refused = false;
  for (;;) {
    report_.number = ++request_number_;
    StatusOr<std::string> answer = CallAndWait(transport_, cluster_.spec.chief_address(),
                                               Method::kLease, report_.Encode(), kLeaseDeadline);
    if (answer.ok()) {
      if (was_refused) hooks_.waiting("");
      ClearReport();
      return LeaseAnswer::Decode(*answer);
    }
    if (!absl::IsUnavailable(answer.status()) && !absl::IsDeadlineExceeded(answer.status())) {
      return answer.status();
    }
    if (hooks_.stop_requested()) return MakeStatus(absl::StatusCode::kCancelled, "stopped");
    if (clock_->Monotonic() - start >= cluster_.peer_timeout) {
      return MakeStatus(absl::StatusCode::kUnavailable,
                        fmt::format("the chief ({}) is gone: {}", cluster_.spec.chief_address(),
                                    Message(answer.status())));
    }
    was_refused = true;
    hooks_.waiting(fmt::format("waiting for the chief ({})", cluster_.spec.chief_address()));
    std::this_thread::sleep_for(kRetry);
  }
}

void ClusterWorker::ClearReport() {
  const LeaseRequest old = std::move(report_);
  report_ = LeaseRequest();
  report_.worker = trainer_index_;
  report_.incarnation = cluster_.incarnation;
  report_.last_step = last_step_;
  report_.block = old.block;
  report_.block_index = old.block_index;
}

Status ClusterWorker::BeginRun(const LeaseAnswer& answer) {
  run_ = answer.run;
  parameters_->SetRun(run_);
  report_ = LeaseRequest();
  report_.worker = trainer_index_;
  report_.incarnation = cluster_.incarnation;
  has_block_ = false;
  stream_.reset();
  batches_.clear();
  last_step_ = -1;
  if (run_ == RunId() || cluster_.mode != TrainMode::kSync) return OkStatus();
  stream_step_ = answer.start_step;
  ASSIGN_OR_RETURN(stream_, BatchStream::Open(*fs_, spec_.input, session_.train, answer.start));
  return OkStatus();
}

StatusOr<const Batch*> ClusterWorker::BatchOfStep(int64_t step) {
  while (stream_step_ < step) {
    std::unique_ptr<Batch> batch;
    if (batches_.size() >= kBatchesKept) {
      batch = std::move(batches_.front().batch);
      batches_.pop_front();
    }
    ASSIGN_OR_RETURN(const bool more, stream_->Next(&batch));
    if (!more) {
      last_step_ = report_.last_step = stream_step_;
      return nullptr;
    }
    ++stream_step_;
    batches_.push_back({stream_step_, std::move(batch)});
  }
  for (const StepBatch& kept : batches_) {
    if (kept.step == step) return kept.batch.get();
  }
  return Error("step {}: this worker's data stands at step {} already", step, stream_step_);
}

Status ClusterWorker::DoSlices(const LeaseAnswer& answer) {
  const auto input_start = clock_->Monotonic();
  ASSIGN_OR_RETURN(const Batch* batch, BatchOfStep(answer.step));
  Spent(&Statistics::input_seconds, input_start);
  if (batch == nullptr) return OkStatus();  // the next request says that the data ended
  const auto start = clock_->Monotonic();
  const double calls_before = CallSeconds();
  ASSIGN_OR_RETURN(const SliceTrainer::Result computed,
                   slice_trainer_->Compute(answer.step, *batch, answer.slices));
  Spent(&Statistics::compute_seconds, start, CallSeconds() - calls_before);
  std::vector<RemoteParameters::SlicePush> pushes;
  for (const SliceTrainer::Slice& slice : computed.slices) {
    pushes.push_back({.identity = {.step = answer.step, .slice = slice.number},
                      .weight_sum = slice.result.weight_sum,
                      .rows = slice.rows,
                      .counts = slice.counts});
  }
  std::vector<RemoteParameters::DensePush> dense;
  for (const SliceTrainer::Dense& sum : computed.dense) dense.push_back({sum.node, sum.sum});
  RETURN_IF_ERROR(parameters_->PushSlices(pushes, dense));
  int64_t examples = 0;
  report_.positions.emplace_back(answer.step, batch->position);
  for (const SliceTrainer::Slice& slice : computed.slices) {
    examples += slice.examples;
    const int begin = static_cast<int>(int64_t{batch->size} * slice.number / session_.slices);
    AddToWindow(*batch, begin, begin + slice.examples, slice.logits);
    report_.slices.push_back({.step = answer.step,
                              .slice = slice.number,
                              .loss_sum = slice.result.loss_sum,
                              .weight_sum = slice.result.weight_sum,
                              .examples = slice.examples});
  }
  CountStep(examples);
  return OkStatus();
}

Status ClusterWorker::OpenBlock(const BlockLease& block) {
  BatchStreamOptions options = session_.train;
  options.blocks = 1;
  ASSIGN_OR_RETURN(stream_, BatchStream::Open(*fs_, spec_.input, options, block.start));
  block_ = block.id;
  block_index_ = block.first_index - 1;
  has_block_ = true;
  batch_ready_ = next_read_ = false;
  report_.block = block_;
  report_.block_index = block_index_;
  return OkStatus();
}

// The one behind batch_, if it has not been read yet.
Status ClusterWorker::ReadNextBatch() {
  if (next_read_) return OkStatus();
  const auto start = clock_->Monotonic();
  ASSIGN_OR_RETURN(next_ready_, stream_->Next(&next_));
  next_read_ = true;
  Spent(&Statistics::input_seconds, start);
  return OkStatus();
}

Status ClusterWorker::GoToNextBatch() {
  RETURN_IF_ERROR(ReadNextBatch());
  std::swap(batch_, next_);
  batch_ready_ = next_ready_;
  next_read_ = false;
  return OkStatus();
}

Status ClusterWorker::DoBatch(const LeaseAnswer& answer) {
  if (!has_block_ || block_ != answer.block.id) RETURN_IF_ERROR(OpenBlock(answer.block));
  if (!batch_ready_) {
    RETURN_IF_ERROR(GoToNextBatch());
    if (!batch_ready_) {  // an empty rest
      report_.block_done = true;
      has_block_ = false;
      return OkStatus();
    }
  }
  if (cluster_.overlap_pull) RETURN_IF_ERROR(ReadNextBatch());
  // The batch's number in its block: a batch of bad records only is passed over.
  const int64_t index = batch_->position.batch - 1;
  parameters_->SetPushIdentity({.lease = block_, .index = index});
  const Batch* const next = cluster_.overlap_pull && next_ready_ ? next_.get() : nullptr;
  const auto start = clock_->Monotonic();
  const double calls_before = CallSeconds();
  ASSIGN_OR_RETURN(const StepResult step, trainer_->Step(answer.global_step + 1, *batch_, next));
  Spent(&Statistics::compute_seconds, start, CallSeconds() - calls_before);
  CountStep(batch_->size);
  AddToWindow(*batch_, 0, batch_->size, step.logits);
  block_index_ = index;
  report_.block = block_;
  report_.block_index = block_index_;
  report_.examples += batch_->size;
  report_.loss_sum += step.loss * batch_->size;
  report_.weight_sum += batch_->size;
  const RemoteParameters::Statistics now = parameters_->statistics();
  report_.pushes += 1;
  report_.staleness_sum += now.staleness_sum - reported_.staleness_sum;
  report_.staleness_max = std::max(report_.staleness_max, now.staleness_max);
  reported_ = now;
  // Looks ahead, so that the report can say whether that was the block's last batch.
  RETURN_IF_ERROR(GoToNextBatch());
  if (!batch_ready_) {
    report_.block_done = true;
    has_block_ = false;
  }
  return OkStatus();
}

void ClusterWorker::AddToWindow(const Batch& batch, int begin, int end,
                                std::span<const float> logits) {
  Batch part;
  part.size = end - begin;
  part.labels.assign(batch.labels.begin() + begin, batch.labels.begin() + end);
  MutexLock lock(&window_mutex_);
  window_->Add(part, logits);
}

EvaluationResult ClusterWorker::TrainingResult() const {
  MutexLock lock(&window_mutex_);
  return window_->Result();
}

void ClusterWorker::Stop() { parameters_->Stop(); }

void ClusterWorker::Spent(double Statistics::*what, microseconds start, double not_counted) {
  const std::chrono::duration<double> time = clock_->Monotonic() - start;
  MutexLock lock(&statistics_mutex_);
  statistics_.*what += std::max(time.count() - not_counted, 0.0);
}

void ClusterWorker::CountStep(int64_t examples) {
  MutexLock lock(&statistics_mutex_);
  ++statistics_.steps;
  statistics_.examples += examples;
}

double ClusterWorker::CallSeconds() const {
  const RemoteParameters::Statistics calls = parameters_->statistics();
  return calls.pull_times.sum_seconds + calls.push_times.sum_seconds;
}

ClusterWorker::Statistics ClusterWorker::statistics() const {
  Statistics statistics;
  {
    MutexLock lock(&statistics_mutex_);
    statistics = statistics_;
  }
  statistics.calls = parameters_->statistics();
  return statistics;
}

}  // namespace capstan
