#include "ps/coordinator.h"

#include <algorithm>
#include <map>
#include <set>

#include "ps/step_book.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;
using Kind = LeaseBoard::Grant::Kind;

// Who has to wait asks again soon when things are moving, seldom when they are not.
constexpr milliseconds kShortWait{1}, kLongWait{50};
constexpr int kWaitFraction = 4;

std::string NameOfWorker(int worker) { return fmt::format("worker {}", worker); }

Status Refusal(const std::string& sentence) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, sentence);
}

}  // namespace

// Everything under the coordinator's mutex.
struct Coordinator::Rep {
  explicit Rep(const CoordinatorOptions& coordinator_options)
      : options(coordinator_options),
        board(coordinator_options.leases),
        workers(coordinator_options.workers),
        ended(coordinator_options.workers),
        last_number(coordinator_options.workers),
        steps(coordinator_options.leases.steps_ahead),
        busy(coordinator_options.workers) {}

  bool is_sync() const { return options.leases.mode == TrainMode::kSync; }

  Status CheckRequest(const LeaseRequest& request) const;
  Status CheckSlices(const LeaseRequest& request) const;
  Status Meet(const LeaseRequest& request, milliseconds now);
  Status TakeSteps(const LeaseRequest& request, milliseconds now);
  void TakeSlices(const LeaseRequest& request, milliseconds now);
  void TakeBatches(const LeaseRequest& request, milliseconds now);
  void Count(int worker, int64_t examples, double loss_sum, double weight_sum);
  // Blocks of which somebody may be pushing a batch now, or a lost worker may have left half of
  // one.
  std::set<uint64_t> InWork() const;
  bool has_limit() const { return options.max_steps > 0; }
  bool IsAtLimit() const;
  bool all_done() const;
  LeaseBoard::Grant TakeDoubtful(const LeaseRequest& request, milliseconds now);
  LeaseAnswer Grant(const LeaseRequest& request, milliseconds now);
  void Add(const BlockLease& lease);

  const CoordinatorOptions options;
  LeaseBoard board;
  bool running = false;
  RunId run;
  int64_t start_step = 0;
  InputPosition start;

  std::vector<WorkerState> workers;
  std::vector<std::set<uint64_t>> ended;  // [worker]: incarnations that have been replaced
  std::vector<uint64_t> last_number;      // [worker]: of a request of this incarnation
  milliseconds last_now{0}, last_tick{-1}, last_change{0};

  StepBook steps;  // sync
  bool paused = false;
  // Async: [worker]: the block of which it may be pushing a batch now; 0 and false: none.
  struct Busy {
    bool is_busy = false;
    uint64_t block = 0;
  };
  std::vector<Busy> busy;
  std::set<uint64_t> doubtful;  // blocks whose next batch may be on some servers only

  void SetLost(int worker);

  // Async: [block that is not done and whose size is known]: records that are still to be counted.
  std::map<uint64_t, int64_t> left;

  Progress progress;  // but for workers and late
};

Status Coordinator::Rep::CheckRequest(const LeaseRequest& request) const {
  const int count = static_cast<int>(workers.size());
  if (request.worker < 0 || request.worker >= count) {
    return Error("{} asks for work: this job has workers 0 to {}", NameOfWorker(request.worker),
                 count - 1);
  }
  const bool has_steps =
      !request.slices.empty() || !request.positions.empty() || request.last_step >= 0;
  const bool has_batches = request.block_index >= 0 || request.block_done;
  if (is_sync() ? has_batches : has_steps) {
    return Error("{} reports {}, but training is {}", NameOfWorker(request.worker),
                 is_sync() ? "batches of a block" : "steps",
                 is_sync() ? "synchronous" : "asynchronous");
  }
  if (request.examples < 0 || request.pushes < 0 || request.staleness_sum < 0) {
    return Error("{} reports {} examples, {} pushes, staleness {}: wanted 0 or more",
                 NameOfWorker(request.worker), request.examples, request.pushes,
                 request.staleness_sum);
  }
  return OkStatus();
}

Status Coordinator::Rep::CheckSlices(const LeaseRequest& request) const {
  const int64_t last = board.finished_step() + 1 + options.leases.steps_ahead;
  for (const LeaseRequest::SliceReport& report : request.slices) {
    const bool fits = report.step > 0 && report.step <= last && report.slice >= 0 &&
                      report.slice < options.leases.slices && report.examples >= 0;
    if (!fits) {
      return Error("{} reports {} examples of slice {} of step {}: steps go up to {}, slices to {}",
                   NameOfWorker(request.worker), report.examples, report.slice, report.step, last,
                   options.leases.slices - 1);
    }
  }
  return OkStatus();
}

// Who it is that asks: a copy that has been replaced is refused, a new one frees what the old held.
Status Coordinator::Rep::Meet(const LeaseRequest& request, milliseconds now) {
  WorkerState& worker = workers[request.worker];
  if (ended[request.worker].contains(request.incarnation)) {
    return Refusal(fmt::format("{} has been started again: this older copy of it has to end",
                               NameOfWorker(request.worker)));
  }
  if (worker.seen && worker.incarnation != request.incarnation) {
    ended[request.worker].insert(worker.incarnation);
    SetLost(request.worker);
    last_change = now;
    ++worker.restarts;
    worker.told_done = false;
    last_number[request.worker] = 0;
  }
  // What a late one says of the worker is not true any more.
  if (request.number != 0 && request.number < last_number[request.worker]) {
    return Refusal(fmt::format("request {} of {} comes behind request {}", request.number,
                               NameOfWorker(request.worker), last_number[request.worker]));
  }
  last_number[request.worker] = std::max(last_number[request.worker], request.number);
  worker.seen = true;
  worker.lost = false;
  worker.left = request.leaves;
  worker.incarnation = request.incarnation;
  worker.last_seen = now;
  if (is_sync()) board.Meet(request.worker);
  return OkStatus();
}

void Coordinator::Rep::SetLost(int worker) {
  board.Lost(worker);
  if (busy[worker].is_busy && board.is_open(busy[worker].block)) {
    doubtful.insert(busy[worker].block);
  }
  busy[worker].is_busy = false;
}

void Coordinator::Rep::Count(int worker, int64_t examples, double loss_sum, double weight_sum) {
  progress.examples += examples;
  workers[worker].examples += examples;
  progress.loss_sum += loss_sum;
  progress.weight_sum += weight_sum;
}

// All that can be refused comes first, so that a refused request changes nothing that counts.
Status Coordinator::Rep::TakeSteps(const LeaseRequest& request, milliseconds now) {
  RETURN_IF_ERROR(CheckSlices(request));
  for (const auto& [step, position] : request.positions) {
    RETURN_IF_ERROR(steps.TakePosition(request.worker, step, position));
  }
  if (request.last_step >= 0) {
    RETURN_IF_ERROR(steps.TakeLastStep(request.worker, request.last_step));
    board.SetLastStep(has_limit() ? std::min(options.max_steps, steps.last_step())
                                  : steps.last_step());
  }
  TakeSlices(request, now);
  progress.global_step = board.finished_step();
  steps.Finish(progress.global_step);
  return OkStatus();
}

void Coordinator::Rep::TakeSlices(const LeaseRequest& request, milliseconds now) {
  if (!request.slices.empty()) {
    board.SlicesReported(request.worker, request.slices[0].step,
                         static_cast<int>(request.slices.size()), now);
  }
  for (const LeaseRequest::SliceReport& report : request.slices) {
    if (!board.SliceDone(report.step, report.slice)) {
      ++progress.repeated;
      continue;
    }
    steps.Count(report.step, report.examples);
    Count(request.worker, report.examples, report.loss_sum, report.weight_sum);
    last_change = last_now;
  }
}

void Coordinator::Rep::TakeBatches(const LeaseRequest& request, milliseconds now) {
  // Who asks has nothing on its way; a heartbeat says nothing of that.
  if (request.max_slices > 0) busy[request.worker].is_busy = false;
  if (board.BatchDone(request.worker, request.block, request.block_index, now)) {
    Count(request.worker, request.examples, request.loss_sum, request.weight_sum);
    const auto rest = left.find(request.block);
    if (rest != left.end()) rest->second -= request.examples;
    progress.global_step += request.pushes;
    progress.pushes += request.pushes;
    progress.staleness_sum += request.staleness_sum;
    progress.staleness_max = std::max(progress.staleness_max, request.staleness_max);
    last_change = now;
    doubtful.erase(request.block);
  } else if (request.examples > 0) {
    ++progress.repeated;
  }
  if (!request.block_done || !board.BlockDone(request.block)) return;
  doubtful.erase(request.block);
  last_change = now;
  const auto rest = left.extract(request.block);
  if (rest.empty()) return;
  progress.skipped += std::max<int64_t>(0, rest.mapped());
  progress.twice += std::max<int64_t>(0, -rest.mapped());
}

std::set<uint64_t> Coordinator::Rep::InWork() const {
  std::set<uint64_t> blocks = doubtful;
  for (const Busy& one : busy) {
    if (one.is_busy) blocks.insert(one.block);
  }
  return blocks;
}

bool Coordinator::Rep::IsAtLimit() const {
  return has_limit() &&
         progress.global_step + static_cast<int64_t>(InWork().size()) >= options.max_steps;
}

bool Coordinator::Rep::all_done() const {
  if (board.all_done()) return true;
  return !is_sync() && IsAtLimit() && InWork().empty();
}

// A batch that a lost worker may have left on some servers only is done again, whatever the limit
// or a pause says.
LeaseBoard::Grant Coordinator::Rep::TakeDoubtful(const LeaseRequest& request, milliseconds now) {
  if (request.max_slices <= 0) return {};
  for (const uint64_t block : doubtful) {
    const bool is_taken = std::ranges::any_of(
        busy, [&](const Busy& one) { return one.is_busy && one.block == block; });
    if (is_taken) continue;
    const LeaseBoard::Grant grant = board.TakeThis(request.worker, block, now);
    if (grant.kind == Kind::kBlock) return grant;
  }
  return {};
}

LeaseAnswer Coordinator::Rep::Grant(const LeaseRequest& request, milliseconds now) {
  const bool holds_back = !is_sync() && !all_done() && (paused || IsAtLimit());
  LeaseBoard::Grant grant;
  if (holds_back) {
    grant = TakeDoubtful(request, now);
  } else if (all_done()) {
    grant.kind = Kind::kDone;
  } else {
    grant = board.Take(request.worker, request.max_slices, now, request.up_to_step);
  }
  LeaseAnswer answer;
  answer.kind = grant.kind;
  answer.step = grant.step;
  answer.slices = std::move(grant.slices);
  answer.block = grant.block;
  answer.wait_ms =
      holds_back ? kShortWait.count()
                 : std::clamp((now - last_change) / kWaitFraction, kShortWait, kLongWait).count();
  if (grant.kind == Kind::kDone) workers[request.worker].told_done = true;
  if (grant.kind == Kind::kBlock) busy[request.worker] = {true, grant.block.id};
  return answer;
}

void Coordinator::Rep::Add(const BlockLease& lease) {
  if (lease.examples >= 0) left[lease.id] = lease.examples - lease.start.example;
}

Coordinator::Coordinator(const CoordinatorOptions& options)
    : rep_(std::make_unique<Rep>(options)) {}
Coordinator::~Coordinator() = default;

void Coordinator::Begin(const RunId& run, int64_t start_step, const InputPosition& start,
                        const std::vector<BlockLease>& open) {
  MutexLock lock(&mutex_);
  Rep& rep = *rep_;
  rep.running = true;
  rep.run = run;
  rep.last_change = rep.last_now;
  rep.start_step = start_step;
  rep.start = start;
  rep.progress = Progress();
  rep.progress.global_step = start_step;
  rep.steps.Begin(start_step, start);
  rep.left.clear();
  rep.paused = false;
  rep.doubtful.clear();
  rep.busy.assign(rep.busy.size(), {});
  for (WorkerState& worker : rep.workers) worker.told_done = worker.left = false;
  if (rep.is_sync()) {
    rep.board.StartSync(start_step + 1);
    if (rep.has_limit()) rep.board.SetLastStep(rep.options.max_steps);
  } else {
    rep.board.StartAsync(open);
    for (const BlockLease& lease : open) rep.Add(lease);
  }
}

void Coordinator::Suspend() {
  MutexLock lock(&mutex_);
  rep_->running = false;
}

void Coordinator::AddBlock(const BlockLease& lease) {
  MutexLock lock(&mutex_);
  if (rep_->board.Add(lease)) rep_->Add(lease);
}

void Coordinator::SetNoMoreBlocks() {
  MutexLock lock(&mutex_);
  rep_->board.SetNoMoreBlocks();
}

void Coordinator::SetPaused(bool paused) {
  MutexLock lock(&mutex_);
  rep_->paused = paused;
}

bool Coordinator::quiet() const {
  MutexLock lock(&mutex_);
  return rep_->InWork().empty();
}

size_t Coordinator::free_blocks() const {
  MutexLock lock(&mutex_);
  return rep_->board.free_blocks();
}

StatusOr<LeaseAnswer> Coordinator::Lease(const LeaseRequest& request, milliseconds now) {
  MutexLock lock(&mutex_);
  Rep& rep = *rep_;
  RETURN_IF_ERROR(rep.CheckRequest(request));
  RETURN_IF_ERROR(rep.Meet(request, now));
  rep.last_now = std::max(rep.last_now, now);
  LeaseAnswer answer;
  if (!rep.running) {
    answer.wait_ms = kLongWait.count();
    answer.run = request.run;
    return answer;
  }
  if (request.run != rep.run) {
    answer.wait_ms = 0;
  } else {
    if (rep.is_sync()) {
      RETURN_IF_ERROR(rep.TakeSteps(request, now));
    } else {
      rep.TakeBatches(request, now);
    }
    answer = rep.Grant(request, now);
  }
  answer.run = rep.run;
  answer.start_step = rep.start_step;
  answer.start = rep.start;
  answer.global_step = rep.progress.global_step;
  return answer;
}

std::vector<std::string> Coordinator::Tick(milliseconds now) {
  MutexLock lock(&mutex_);
  Rep& rep = *rep_;
  // While this process itself did not run, nobody could be heard.
  const milliseconds pause = rep.last_tick.count() < 0 ? milliseconds(0) : now - rep.last_tick;
  const bool was_asleep = pause >= rep.options.worker_timeout;
  rep.last_tick = now;
  rep.last_now = std::max(rep.last_now, now);
  std::vector<std::string> lost;
  for (size_t i = 0; i < rep.workers.size(); ++i) {
    WorkerState& worker = rep.workers[i];
    if (!worker.seen || worker.lost) continue;
    if (was_asleep) worker.last_seen = std::min(now, worker.last_seen + pause);
    if (now - worker.last_seen < rep.options.worker_timeout) continue;
    worker.lost = true;
    rep.SetLost(static_cast<int>(i));
    rep.last_change = now;
    if (!worker.left && !worker.told_done) lost.push_back(NameOfWorker(static_cast<int>(i)));
  }
  return lost;
}

int64_t Coordinator::finished_step() const {
  MutexLock lock(&mutex_);
  return rep_->board.finished_step();
}

StatusOr<InputPosition> Coordinator::PositionAfter(int64_t step) const {
  MutexLock lock(&mutex_);
  return rep_->steps.PositionAfter(step);
}

void Coordinator::Keep(int64_t step) {
  MutexLock lock(&mutex_);
  rep_->steps.Keep(step);
}

StatusOr<int64_t> Coordinator::ExamplesAfter(int64_t step) const {
  MutexLock lock(&mutex_);
  return rep_->steps.ExamplesAfter(step);
}

std::vector<BlockLease> Coordinator::OpenBlocks(int64_t* examples) const {
  MutexLock lock(&mutex_);
  if (examples != nullptr) *examples = rep_->progress.examples;
  return rep_->board.OpenBlocks();
}

bool Coordinator::all_done() const {
  MutexLock lock(&mutex_);
  return rep_->running && rep_->all_done();
}

bool Coordinator::all_told() const {
  MutexLock lock(&mutex_);
  const Rep& rep = *rep_;
  return rep.running && rep.all_done() &&
         std::ranges::all_of(rep.workers, [&](const WorkerState& worker) {
           const bool is_gone =
               worker.told_done && rep.last_now - worker.last_seen >= rep.options.farewell;
           return !worker.seen || worker.lost || worker.left || is_gone;
         });
}

std::vector<std::string> Coordinator::missing_workers() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> missing;
  for (size_t i = 0; i < rep_->workers.size(); ++i) {
    if (!rep_->workers[i].seen) missing.push_back(NameOfWorker(static_cast<int>(i)));
  }
  return missing;
}

Coordinator::Progress Coordinator::TakeProgress(milliseconds now) {
  MutexLock lock(&mutex_);
  Progress taken = rep_->progress;
  taken.workers = rep_->workers;
  taken.late = rep_->board.LateLeases(now, rep_->options.report_late_after);
  Progress& left = rep_->progress;
  left.loss_sum = left.weight_sum = 0;
  left.staleness_sum = left.staleness_max = left.pushes = 0;
  return taken;
}

std::vector<Coordinator::WorkerState> Coordinator::workers() const {
  MutexLock lock(&mutex_);
  return rep_->workers;
}

LeaseBoard::Counts Coordinator::CountLeases(milliseconds now) const {
  MutexLock lock(&mutex_);
  return rep_->board.Count(now, rep_->options.report_late_after);
}

}  // namespace capstan
