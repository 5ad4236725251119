#include "ps/server_core.h"

#include "ps/pull_gather.h"

namespace capstan {
namespace {
constexpr int kWaitingPerWorker = 16;  // pulls

Status Aborted(const std::string& sentence) {
  return MakeStatus(absl::StatusCode::kAborted, sentence);
}
Status Precondition(const std::string& sentence) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, sentence);
}

std::vector<FloatRange> RangesOf(const std::vector<DenseSpec>& pieces, bool constants) {
  std::vector<FloatRange> ranges;
  for (const DenseSpec& piece : pieces) {
    if (piece.trainable || constants) ranges.push_back({piece.offset, ElementCount(piece.shape)});
  }
  return ranges;
}

std::vector<int> GradientDims(const std::vector<TableSpec>& tables) {
  std::vector<int> dims;
  for (const TableSpec& table : tables) dims.push_back(RowLayout(table.parts).gradient_dim());
  return dims;
}

int64_t FlatSize(std::vector<DenseSpec> pieces) { return LayOutDense(&pieces); }

}  // namespace

ServerCore::ServerCore(ParameterServerOptions options, WorkerPool* pool,
                       ParameterServer::Storage storage)
    : options_(std::move(options)),
      clock_(options_.clock == nullptr ? &system_clock_ : options_.clock),
      pool_(pool),
      storage_(std::move(storage)),
      sharding_(options_.tables, options_.dense, options_.servers),
      pieces_(DensePieceSpecs(sharding_, options_.index, options_.dense)),
      pull_ranges_(RangesOf(pieces_, true)),
      book_(options_.mode, options_.slices),
      sum_(GradientDims(options_.tables), RangesOf(pieces_, false), FlatSize(pieces_)) {}

Status ServerCore::CheckRun(const RunId& run, const std::string& who) const {
  RETURN_IF_ERROR(broken_);
  if (closed_) return Aborted(fmt::format("{}: {} has ended", who, name()));
  if (run != run_ || parameters_ == nullptr) {
    if (run_ == RunId()) return Aborted(fmt::format("{}: {} serves no run yet", who, name()));
    return Aborted(fmt::format("{}: it belongs to run {}, {} serves {}{}", who, run.ToString(),
                               name(), run_.ToString(),
                               run == run_ ? ", which is being restored" : ""));
  }
  return OkStatus();
}

Status ServerCore::CheckIds(const PullRequest& request) const {
  for (size_t t = 0; t < request.keys.size(); ++t) {
    const int64_t size = options_.tables[t].dense_size;
    const auto& keys = request.keys[t];  // sorted
    if (size > 0 && !keys.empty() && keys.back() >= static_cast<uint64_t>(size)) {
      return Error("pull of worker {}: table {}: id {}, wanted one below {}", request.worker,
                   options_.tables[t].name, keys.back(), size);
    }
  }
  return OkStatus();
}

void ServerCore::Pull(PullRequest request, std::chrono::microseconds arrival, Reply reply,
                      Answers* answers) {
  Status status = CheckRun(request.run, fmt::format("pull of worker {}", request.worker));
  if (status.ok()) status = CheckIds(request);
  if (!status.ok()) return answers->Add(std::move(reply), status);
  ++pulls_;
  if (request.keys_only) {
    pull_keys_.Add(request.worker, request.pull_id, std::move(request.keys));
    return answers->Add(std::move(reply), PullAnswer{.applied_step = applied_}.Encode());
  }
  if (request.training) {
    // Whoever goes on has heard from the chief that the step before is done.
    status = TakeFinished(request.after_step, answers);
    if (!status.ok()) return answers->Add(std::move(reply), status);
  }
  if (request.after_step > applied_) return Wait(std::move(request), std::move(reply), answers);
  AnswerPull(request, arrival, std::move(reply), answers);
  if (request.training) {
    pull_keys_.Add(request.worker, request.pull_id, std::move(request.keys));
  }
}

void ServerCore::Wait(PullRequest request, Reply reply, Answers* answers) {
  int waiting = 0;
  for (auto other = waiting_.begin(); other != waiting_.end(); ++other) {
    if (other->request.worker != request.worker) continue;
    ++waiting;
    if (other->request.pull_id != request.pull_id) continue;
    const std::string answer = PullAnswer{.applied_step = applied_, .waiting = true}.Encode();
    answers->Add(std::move(other->reply), answer);
    answers->Add(std::move(reply), answer);
    waiting_.erase(other);
    return;
  }
  if (waiting == kWaitingPerWorker) {
    return answers->Add(std::move(reply),
                        MakeStatus(absl::StatusCode::kResourceExhausted,
                                   fmt::format("pull of worker {}: {} others wait already",
                                               request.worker, waiting)));
  }
  waiting_.push_back({std::move(request), std::move(reply)});
}

void ServerCore::AnswerPull(const PullRequest& request, std::chrono::microseconds since,
                            Reply reply, Answers* answers) {
  StatusOr<std::string> answer =
      GatherPull(request, applied_ + 1, applied_, pull_ranges_, parameters_.get(), pool_);
  if (answer.ok()) bytes_out_ += static_cast<int64_t>(answer->size());
  pull_times_.Add(now() - since);
  answers->Add(std::move(reply), std::move(answer));
}

void ServerCore::AnswerWaitingPulls(Answers* answers) {
  std::vector<WaitingPull> still;
  for (WaitingPull& pull : waiting_) {
    if (pull.request.after_step > applied_) {
      still.push_back(std::move(pull));
      continue;
    }
    AnswerPull(pull.request, now(), std::move(pull.reply), answers);
    if (!pull.request.training) continue;
    pull_keys_.Add(pull.request.worker, pull.request.pull_id, std::move(pull.request.keys));
  }
  waiting_ = std::move(still);
}

StatusOr<PushAnswer> ServerCore::Push(const PushRequest& request,
                                      std::shared_ptr<const std::string> message,
                                      Answers* answers) {
  const std::string who = fmt::format("push of worker {}", request.worker);
  RETURN_IF_ERROR(CheckRun(request.run, who));
  // All is looked at before anything changes.
  const std::shared_ptr<const KeyLists> keys = pull_keys_.Find(request.worker, request.pull_id);
  std::vector<StoredPart> parts;
  PushAnswer answer;
  for (const PushPart& part : request.parts) {
    const StatusOr<bool> old = book_.IsOld(part.identity);
    if (!old.ok()) return Annotate(old.status(), who);
    if (*old) continue;
    if (keys == nullptr) {
      return NotFoundError("{}: the keys of its pull {:x} are not known (any more)", who,
                           request.pull_id);
    }
    parts.push_back({message, keys, request.format, part});
    RETURN_IF_ERROR(Annotate(sum_.Check(parts.back()), who));
  }
  RETURN_IF_ERROR(Annotate(book_.CheckDense(request), who));
  std::vector<StoredDense> dense;
  for (const PushDense& sum : request.dense) {
    dense.push_back({message, request.format, sum});
    RETURN_IF_ERROR(Annotate(sum_.Check(dense.back()), who));
  }
  if (sync()) {
    answer.applied = StoreSlices(std::move(parts), std::move(dense));
  } else if (!parts.empty()) {
    const StoredPart* const part = &parts[0];
    const StoredDense* const sum = &dense[0];
    RETURN_IF_ERROR(Apply({&part, 1}, {&sum, 1}, request.rates_step));
    book_.Mark(part->part.identity);
    answer.applied = 1;
  }
  answer.dropped = static_cast<int32_t>(request.parts.size()) - answer.applied;
  pushes_ += answer.applied;
  dropped_pushes_ += answer.dropped;
  if (sync()) RETURN_IF_ERROR(ApplyReadySteps(answers));
  answer.applied_step = applied_;
  return answer;
}

// Parts that are not old, with the dense sums of their push. How many were news.
int32_t ServerCore::StoreSlices(std::vector<StoredPart> parts, std::vector<StoredDense> dense) {
  if (parts.empty()) return 0;
  const int64_t step = parts[0].part.identity.step;
  int32_t stored = 0;
  for (StoredPart& part : parts) {
    const StatusOr<bool> old = book_.IsOld(part.part.identity);
    if (!old.ok() || *old) continue;  // twice in one request
    book_.Store(std::move(part));
    ++stored;
  }
  for (StoredDense& sum : dense) book_.StoreDense(step, std::move(sum));
  return stored;
}

Status ServerCore::TakeFinished(int64_t step, Answers* answers) {
  if (!sync() || step <= finished_) return OkStatus();
  finished_ = step;
  return ApplyReadySteps(answers);
}

Status ServerCore::ApplyReadySteps(Answers* answers) {
  while (applied_ < finished_) {
    const StatusOr<PushBook::ReadyStep> ready = book_.Ready();
    if (!ready.ok()) return Break(ready.status());
    if (ready->parts.empty()) return OkStatus();
    RETURN_IF_ERROR(Apply(ready->parts, ready->dense, applied_ + 1));
    book_.FinishStep();
    // In this order: a cut shows this step, and so do the pulls that wait for it.
    TakeDueCuts(answers);
    AnswerWaitingPulls(answers);
  }
  return OkStatus();
}

// No request is served any more before the next generation.
Status ServerCore::Break(const Status& status) {
  broken_ = MakeStatus(absl::StatusCode::kInternal,
                       fmt::format("{}: apply step {}: {}", name(), applied_ + 1, Message(status)));
  return broken_;
}

Status ServerCore::Apply(std::span<const StoredPart* const> parts,
                         std::span<const StoredDense* const> dense, int64_t rates_step) {
  double weight_sum = 0;
  for (const StoredPart* part : parts) weight_sum += part->part.weight_sum;
  sum_.Add(parts, dense, sync() ? options_.slices : 1, pool_);
  Gradients gradients = sum_.gradients();
  gradients.scale = weight_sum > 0 ? static_cast<float>(1.0 / weight_sum) : 0.0f;
  const float factor = options_.rate_factor(rates_step);
  const StepRates rates{.step = rates_step, .wide_factor = factor, .deep_factor = factor};
  Status status = parameters_->Pull(applied_ + 1, sum_.keys(), &rows_);
  if (status.ok()) status = parameters_->Push(rates, gradients);
  if (!status.ok()) return Break(status);
  ++applied_;
  parameters_->SetStep(applied_);
  parameters_->Expire(applied_);
  return OkStatus();
}

bool ServerCore::Begin(const ControlRequest& request, Reply reply, Answers* answers) {
  const auto refuse = [&](const Status& status) {
    answers->Add(std::move(reply), status);
    return false;
  };
  if (closed_) return refuse(Aborted(fmt::format("begin: {} has ended", name())));
  if (run_.run != 0 && request.run.run != run_.run) {
    return refuse(Precondition(
        fmt::format("begin: {} serves run {}, asked for {}: it is left over from an earlier start",
                    name(), run_.ToString(), request.run.ToString())));
  }
  if (request.run.generation < run_.generation) {
    return refuse(Aborted(fmt::format("begin {}: {} serves {} already", request.run.ToString(),
                                      name(), run_.ToString())));
  }
  if (request.run == run_ && broken_.ok()) {
    if (parameters_ != nullptr) {
      answers->Add(std::move(reply), begin_answer_.Encode());
      return false;
    }
    if (!begin_replies_.empty()) {
      begin_replies_.push_back(std::move(reply));
      return false;
    }
  }
  AnswerAll(Aborted(fmt::format("{} begins {}", name(), request.run.ToString())), answers);
  run_ = request.run;
  broken_ = OkStatus();
  old_parameters_ = std::move(parameters_);
  parameters_ = nullptr;
  pull_keys_.Clear();
  begin_replies_.push_back(std::move(reply));
  return true;
}

// Everything that waits for this generation.
void ServerCore::AnswerAll(const Status& status, Answers* answers) {
  for (WaitingPull& pull : waiting_) answers->Add(std::move(pull.reply), status);
  waiting_.clear();
  for (Reply& reply : begin_replies_) answers->Add(std::move(reply), status);
  begin_replies_.clear();
  for (Reply& reply : cut_book_.Clear()) answers->Add(std::move(reply), status);
}

// Without the mutex.
StatusOr<std::unique_ptr<LocalParameters>> ServerCore::NewParameters(
    const std::string& prefix, int64_t* step, std::vector<LeaseMark>* marks) const {
  ASSIGN_OR_RETURN(std::unique_ptr<LocalParameters> parameters,
                   LocalParameters::Create(options_.tables, pieces_, options_.seed, pool_));
  if (!prefix.empty()) {
    RETURN_IF_ERROR(storage_.restore(prefix, parameters.get(), step, marks));
    return parameters;
  }
  // Tables of a known size have all their rows from the beginning.
  for (size_t t = 0; t < options_.tables.size(); ++t) {
    for (int64_t id = 0; id < options_.tables[t].dense_size; ++id) {
      const uint64_t key = static_cast<uint64_t>(id);
      if (sharding_.ServerOf(static_cast<int>(t), key) != options_.index) continue;
      RETURN_IF_ERROR(parameters->table(static_cast<int>(t)).Insert(key, 0, 0).status());
    }
  }
  return parameters;
}

void ServerCore::Serve(const RunId& run, const Status& status,
                       std::unique_ptr<LocalParameters> parameters, int64_t step,
                       const std::vector<LeaseMark>& marks, Answers* answers) {
  if (run != run_ || closed_) return;  // answered when a later generation began
  if (status.ok()) {
    parameters_ = std::move(parameters);
    parameters_->SetStep(step);
    applied_ = finished_ = base_step_ = step;
    book_.Begin(step, marks);
    begin_answer_ = State();
    begin_answer_.marks = book_.marks();
  }
  for (Reply& reply : begin_replies_) {
    if (status.ok()) {
      answers->Add(std::move(reply), begin_answer_.Encode());
    } else {
      answers->Add(std::move(reply), Annotate(status, name() + ": begin"));
    }
  }
  begin_replies_.clear();
}

void ServerCore::AnswerStatus(const ControlRequest& request, Reply reply, Answers* answers) {
  if (request.run == run_ && parameters_ != nullptr) {
    const Status status = TakeFinished(request.finished_step, answers);
    if (!status.ok()) return answers->Add(std::move(reply), status);
  }
  answers->Add(std::move(reply), State().Encode());
}

// A checkpoint of this name may have been asked for before.
std::string ServerCore::KeyOf(const ControlRequest& request) {
  return fmt::format("{}#{}", request.prefix, request.cut);
}

void ServerCore::RequestCut(const ControlRequest& request, Reply reply, Answers* answers) {
  if (Status status = CheckRun(request.run, "cut " + request.prefix); !status.ok()) {
    return answers->Add(std::move(reply), status);
  }
  const int64_t step = sync() ? request.step : applied_;
  if (!cut_book_.Knows(KeyOf(request)) && step < applied_) {
    return answers->Add(std::move(reply),
                        Precondition(fmt::format("cut {}: of step {}, but {} has applied step {}",
                                                 request.prefix, step, name(), applied_)));
  }
  std::optional<CutBook::Answer> known = cut_book_.AskForCut(KeyOf(request), step, &reply);
  if (known.has_value()) answers->Add(std::move(reply), *std::move(known));
  TakeDueCuts(answers);
  TakeFinished(request.finished_step, answers).IgnoreError();  // whoever comes next hears of it
}

void ServerCore::AwaitPart(const ControlRequest& request, Reply reply, Answers* answers) {
  if (Status status = CheckRun(request.run, "part of " + request.prefix); !status.ok()) {
    return answers->Add(std::move(reply), status);
  }
  std::optional<CutBook::Answer> known = cut_book_.AskForPart(KeyOf(request), &reply);
  if (known.has_value()) answers->Add(std::move(reply), *std::move(known));
}

StatusOr<ServerCore::Cut> ServerCore::CutNow() const {
  if (parameters_ == nullptr) return NotFoundError("{} holds nothing", name());
  RETURN_IF_ERROR(broken_);
  Cut cut;
  cut.run = run_;
  cut.step = applied_;
  cut.marks = book_.marks();
  cut.parameters = parameters_;
  ASSIGN_OR_RETURN(cut.snapshot, parameters_->Cut(options_.snapshot_buffer_bytes));
  return cut;
}

void ServerCore::TakeDueCuts(Answers* answers) {
  for (const std::string& key : cut_book_.TakeDue(applied_)) {
    const std::chrono::microseconds start = now();
    StatusOr<Cut> cut = CutNow();
    cut_seconds_ += std::chrono::duration<double>(now() - start).count();
    ++cut_count_;
    CutBook::Answer answer = std::string();
    if (!cut.ok()) {
      answer = Annotate(cut.status(), name());
    } else {
      cut->key = key;
      cut->prefix = key.substr(0, key.rfind('#'));
      ControlAnswer taken = State();
      taken.marks = cut->marks;
      answer = taken.Encode();
      cuts_.push_back(*std::move(cut));
    }
    for (Reply& reply : cut_book_.Taken(key, answer)) answers->Add(std::move(reply), answer);
  }
}

void ServerCore::CountWriting(std::chrono::microseconds time) {
  write_seconds_ += std::chrono::duration<double>(time).count();
  ++parts_written_;
}

void ServerCore::CutWritten(const Cut& cut, const StatusOr<std::string>& part, Answers* answers) {
  if (cut.run != run_) return;  // whoever waited has been told that the generation is over
  CutBook::Answer answer = std::string();
  if (!part.ok()) {
    answer = Annotate(part.status(), name());
  } else {
    ControlAnswer written = State();
    written.applied_step = cut.step;
    written.part_prefix = *part;
    answer = written.Encode();
  }
  for (Reply& reply : cut_book_.Written(cut.key, answer)) {
    answers->Add(std::move(reply), answer);
  }
}

void ServerCore::Close(Answers* answers) {
  closed_ = true;
  AnswerAll(Aborted(name() + " has ended"), answers);
}

void ServerCore::End(const ControlRequest& request, Reply reply, Answers* answers) {
  if (run_.run != 0 && request.run.run != run_.run) {
    return answers->Add(std::move(reply),
                        Precondition(fmt::format("end: {} serves run {}, asked for {}", name(),
                                                 run_.ToString(), request.run.ToString())));
  }
  ended_ = true;
  Close(answers);
  answers->Add(std::move(reply), State().Encode());
}

ControlAnswer ServerCore::State() const {
  ControlAnswer answer{.applied_step = applied_, .incarnation = options_.incarnation};
  if (parameters_ != nullptr) {
    answer.rows = parameters_->row_count();
    answer.memory_bytes = parameters_->memory_bytes();
  }
  return answer;
}

ParameterServer::Statistics ServerCore::statistics() const {
  ParameterServer::Statistics statistics{.applied_step = applied_,
                                         .pulls = pulls_,
                                         .pushes = pushes_,
                                         .dropped_pushes = dropped_pushes_,
                                         .waiting_pulls = static_cast<int64_t>(waiting_.size()),
                                         .bytes_in = bytes_in_,
                                         .bytes_out = bytes_out_,
                                         .pull_times = pull_times_,
                                         .push_times = push_times_,
                                         .cuts = cut_count_,
                                         .parts_written = parts_written_,
                                         .cut_seconds = cut_seconds_,
                                         .write_seconds = write_seconds_};
  for (const TableSpec& table : options_.tables) statistics.tables.push_back({.name = table.name});
  if (parameters_ == nullptr) return statistics;
  statistics.memory_bytes = parameters_->memory_bytes();
  for (size_t t = 0; t < options_.tables.size(); ++t) {
    const RowTable& table = parameters_->table(static_cast<int>(t));
    statistics.tables[t].rows = table.row_count();
    statistics.tables[t].memory_bytes = table.memory_bytes();
    statistics.rows += table.row_count();
  }
  return statistics;
}

}  // namespace capstan
