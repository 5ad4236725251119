// ClusterChief: reports, checkpoints and the end of the job.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/number_text.h"
#include "ps/local_fault.h"
#include "train/cluster_chief.h"
#include "train/report_line.h"
#include "train/saved_model_export.h"

namespace capstan {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr microseconds kPoll{100'000};
constexpr milliseconds kTick{2};
constexpr milliseconds kRateWindow{5'000};  // of examples per second, for whoever watches
constexpr milliseconds kCallDeadline{5'000};
constexpr milliseconds kGoodbye{10'000};
constexpr milliseconds kFarewell{2'000};  // for a server whose connection breaks
constexpr milliseconds kLongestPause{3'000};
constexpr microseconds kBetweenCheckpoints{200'000};  // that are missed
constexpr int64_t kMostCutAhead = 64;

double Seconds(microseconds span) { return std::chrono::duration<double>(span).count(); }

milliseconds ToMilliseconds(microseconds span) {
  return std::chrono::duration_cast<milliseconds>(span);
}

}  // namespace

Status ClusterChief::ReportIfDue(bool last) {
  const microseconds now = clock_->Monotonic();
  if (!last && now - last_poll_ < kPoll) return OkStatus();
  last_poll_ = now;
  const Coordinator::Progress progress = coordinator_->TakeProgress(ToMilliseconds(now));
  global_step_ = progress.global_step;
  examples_ = progress.examples;
  examples_repeated_ = progress.repeated;
  loss_sum_ += progress.loss_sum;
  weight_sum_ += progress.weight_sum;
  staleness_sum_ += progress.staleness_sum;
  staleness_max_ = std::max(staleness_max_, progress.staleness_max);
  pushes_ += progress.pushes;
  worker_examples_.clear();
  for (const Coordinator::WorkerState& worker : progress.workers) {
    worker_examples_.push_back(worker.seen && !worker.lost ? worker.examples : -1);
  }
  ShowProgress(now);
  for (const std::string& late : progress.late) hooks_.log("late: " + late);
  hooks_.progress({.step = global_step_,
                   .examples_per_s = static_cast<double>(examples_) / Seconds(now - start_)});
  const int64_t every = session_.steps_to_validate;
  const bool due = every > 0 && global_step_ / every > reported_step_ / every;
  return due || last ? MakeReport(last) : OkStatus();
}

void ClusterChief::ShowProgress(microseconds now) {
  const bool rate_is_due = now - rate_since_ >= kRateWindow;
  MutexLock lock(&mutex_);
  shown_.global_step = global_step_;
  shown_.examples = examples_before_ + examples_;
  shown_.repeated = examples_repeated_;
  if (!rate_is_due) return;
  // After a return to a checkpoint there are fewer than before.
  const int64_t examples = std::max<int64_t>(examples_ - rate_examples_, 0);
  shown_.examples_per_s = static_cast<double>(examples) / Seconds(now - rate_since_);
  rate_examples_ = examples_;
  rate_since_ = now;
}

ClusterChief::Statistics ClusterChief::statistics() const {
  Statistics statistics;
  {
    MutexLock lock(&mutex_);
    statistics = shown_;
    statistics.generation = run_.generation;
  }
  statistics.workers = coordinator_->workers();
  statistics.leases = coordinator_->CountLeases(ToMilliseconds(clock_->Monotonic()));
  return statistics;
}

Status ClusterChief::MakeReport(bool last) {
  if (last && reported_step_ == global_step_) return OkStatus();
  const microseconds now = clock_->Monotonic();
  const double seconds = Seconds(now - last_report_);
  Report report;
  report.since_last = now - last_report_;
  report.step = global_step_;
  report.loss = weight_sum_ > 0 ? loss_sum_ / weight_sum_ : std::nan("");
  report.train_accuracy = report.train_auc = std::nan("");
  if (training_result_ != nullptr) {
    const EvaluationResult training = training_result_();
    report.train_accuracy = training.accuracy;
    report.train_auc = training.auc;
  }
  report.examples_per_s = static_cast<double>(examples_ - examples_at_report_) / seconds;
  if (scorer_ != nullptr) {
    report.validated = true;
    ASSIGN_OR_RETURN(report.validation, Evaluate(*fs_, session_.validation, scorer_.get()));
    const double auc = report.validation.auc;
    const double metric = std::isnan(auc) ? -report.validation.loss : auc;
    better_ = std::isnan(best_validation_) || metric > best_validation_;
    if (better_) best_validation_ = metric;
    MutexLock lock(&mutex_);
    shown_.validation_step = report.step;
    shown_.validation = report.validation;
  }
  std::string line = ReportLine(spec_, report) + SlowestWorker(seconds);
  if (pushes_ > 0) {
    line += fmt::format(", staleness {:.2f} (most {})",
                        static_cast<double>(staleness_sum_) / static_cast<double>(pushes_),
                        staleness_max_);
  }
  hooks_.log(line);
  if (events_ != nullptr) {
    RETURN_IF_ERROR(LocalFault(events_->Write(report, global_step_ - reported_step_)));
  }
  reported_step_ = global_step_;
  worker_examples_at_report_ = worker_examples_;
  examples_at_report_ = examples_;
  loss_sum_ = weight_sum_ = 0;
  staleness_sum_ = staleness_max_ = pushes_ = 0;
  last_report_ = clock_->Monotonic();
  return OkStatus();
}

// ", slowest worker 1: 51000/s", of two or more.
std::string ClusterChief::SlowestWorker(double seconds) const {
  int slowest = -1, there = 0;
  int64_t least = 0;
  for (size_t i = 0; i < worker_examples_.size(); ++i) {
    if (worker_examples_[i] < 0) continue;
    const bool known = i < worker_examples_at_report_.size() && worker_examples_at_report_[i] > 0;
    const int64_t examples = worker_examples_[i] - (known ? worker_examples_at_report_[i] : 0);
    ++there;
    if (slowest < 0 || examples < least) {
      slowest = static_cast<int>(i);
      least = examples;
    }
  }
  if (there < 2) return "";
  return fmt::format(", slowest worker {}: {:.0f}/s", slowest,
                     static_cast<double>(least) / seconds);
}

Status ClusterChief::StartCheckpoint(int64_t step) {
  RunId run;
  {
    MutexLock lock(&mutex_);
    run = run_;
    if (cluster_.mode == TrainMode::kAsync) {
      lease_state_.open = coordinator_->OpenBlocks(&lease_state_.examples);
      lease_state_.next_block = scanned_;
      lease_state_.no_more_blocks = scanned_all_;
      lease_state_.scanned = scanned_examples_;
    }
  }
  coordinator_->Keep(step);
  save_began_ = clock_->Monotonic();
  checkpoint_->Start(run, step, coordinator_->finished_step());
  return OkStatus();
}

void ClusterChief::Unpause() {
  if (!pausing_) return;
  coordinator_->SetPaused(false);
  pausing_ = false;
}

// All servers have written what they were asked for, or one never will.
Status ClusterChief::FinishCheckpoint() {
  RunState run{.step = checkpoint_->step(), .best_validation = best_validation_};
  const bool async = cluster_.mode == TrainMode::kAsync;
  if (async) {
    run.position = lease_state_.next_block;
    run.examples = examples_before_ + lease_state_.examples;
  } else {
    // The servers are that far, but the last report may still be on its way.
    if (coordinator_->finished_step() < run.step) return OkStatus();
    ASSIGN_OR_RETURN(run.position, coordinator_->PositionAfter(run.step));
    ASSIGN_OR_RETURN(run.examples, coordinator_->ExamplesAfter(run.step));
    run.examples += examples_before_;
  }
  RETURN_IF_ERROR(checkpoint_->Finish(run, async ? &lease_state_ : nullptr, better_));
  better_ = false;
  saved_any_ = true;
  ++saves_;
  saved_step_ = run.step;
  cut_ahead_ = kCutAhead;
  last_save_ = clock_->Monotonic();
  MutexLock lock(&mutex_);
  shown_.checkpoints = saves_;
  shown_.last_checkpoint_step = run.step;
  shown_.last_checkpoint_seconds = Seconds(last_save_ - save_began_);
  return OkStatus();
}

Status ClusterChief::AdvanceCheckpoint(bool force) {
  const microseconds now = clock_->Monotonic();
  if (checkpoint_->busy()) {
    checkpoint_->Advance(now);
    if (checkpoint_->missed()) {
      // The request came late to a server, which is beyond the step.
      checkpoint_->Abandon();
      Unpause();
      cut_ahead_ = std::min(2 * cut_ahead_, kMostCutAhead);
      no_checkpoint_before_ = now + kBetweenCheckpoints;
      return OkStatus();
    }
    if (checkpoint_->all_cut()) Unpause();
    return checkpoint_->ready() ? FinishCheckpoint() : OkStatus();
  }
  if (now < no_checkpoint_before_) return OkStatus();
  const bool by_time =
      session_.checkpoint_secs > 0 && Seconds(now - last_save_) >= session_.checkpoint_secs;
  const int64_t every = session_.checkpoint_steps;
  const bool by_steps =
      every > 0 && global_step_ / every > std::max(saved_step_, base_step_) / every;
  if (!by_time && !by_steps && !force && !pausing_) return OkStatus();
  if (cluster_.mode == TrainMode::kSync) {
    return StartCheckpoint(coordinator_->finished_step() + cut_ahead_);
  }
  if (!pausing_) {
    coordinator_->SetPaused(true);
    pausing_ = true;
    pause_began_ = now;
  }
  if (!coordinator_->quiet()) {                // pushes are on their way
    if (now - pause_began_ > kLongestPause) {  // somebody takes long over a batch
      Unpause();
      last_save_ = now;
      no_checkpoint_before_ = now + kLongestPause;  // time to do it, also when we are asked to stop
    }
    return OkStatus();
  }
  const Coordinator::Progress progress = coordinator_->TakeProgress(ToMilliseconds(now));
  global_step_ = progress.global_step;
  examples_ = progress.examples;
  loss_sum_ += progress.loss_sum;
  weight_sum_ += progress.weight_sum;
  return StartCheckpoint(global_step_);
}

Status ClusterChief::WaitForCheckpoint() {
  while (checkpoint_->busy()) {
    std::this_thread::sleep_for(kTick);
    coordinator_->Tick(ToMilliseconds(clock_->Monotonic()));
    AnswerWaiting(ToMilliseconds(clock_->Monotonic()));
    RETURN_IF_ERROR(HeartbeatIfDue());
    RETURN_IF_ERROR(AdvanceCheckpoint(false));
  }
  return OkStatus();
}

Status ClusterChief::FinishJob() {
  RETURN_IF_ERROR(CheckServers());  // nobody goes on behind the last step: this has it applied
  RETURN_IF_ERROR(ReportIfDue(true));
  const int64_t step =
      cluster_.mode == TrainMode::kSync ? coordinator_->finished_step() : global_step_;
  if (checkpoint_->busy()) {
    if (cluster_.mode == TrainMode::kSync && checkpoint_->step() > step) {
      checkpoint_->Abandon();  // of a step that does not come
    } else {
      RETURN_IF_ERROR(WaitForCheckpoint());
    }
  }
  // A cut may be missed while a server still writes one that was abandoned.
  while (saved_step_ != step || better_) {
    if (clock_->Monotonic() >= no_checkpoint_before_) {
      RETURN_IF_ERROR(StartCheckpoint(step));
      RETURN_IF_ERROR(WaitForCheckpoint());
    }
    std::this_thread::sleep_for(kTick);
    RETURN_IF_ERROR(HeartbeatIfDue());
  }
  hooks_.log("Save the checkpoint: " + folder_->PrefixOf(step));
  LogCounts();
  if (!session_.model_path.empty()) {
    ASSIGN_OR_RETURN(const std::string path,
                     LocalFault(ExportCheckpoint(*fs_, folder_->PrefixOf(step), nullptr,
                                                 session_.model_path, pool_)));
    hooks_.log("Save the model in: " + path);
  }
  const std::string done = JoinPath(session_.checkpoint_path, kTrainingDoneFile);
  RETURN_IF_ERROR(LocalFault(WriteFileAtomically(*fs_, done, std::to_string(step) + "\n")));
  SayGoodbye();
  return OkStatus();
}

// From the files, not from what workers say.
StatusOr<int64_t> ClusterChief::CountExamples() {
  if (example_count_ != nullptr) return example_count_->OfAllEpochs();
  MutexLock lock(&mutex_);
  return scanned_examples_;
}

void ClusterChief::LogCounts() {
  const double seconds = Seconds(clock_->Monotonic() - start_);
  const int64_t trained = examples_before_ + examples_;
  std::string of;
  if (session_.max_steps == 0) {
    if (const StatusOr<int64_t> total = CountExamples(); total.ok()) {
      of = fmt::format(" of {}, {} twice, {} skipped", WithCommas(*total),
                       WithCommas(std::max<int64_t>(trained - *total, 0)),
                       WithCommas(std::max<int64_t>(*total - trained, 0)));
    }
  }
  hooks_.log(fmt::format("examples: {}{}; {} results came again and were dropped",
                         WithCommas(trained), of, examples_repeated_));
  hooks_.log(fmt::format("Done training: {} examples in {:.1f} s, {:.0f} examples/s", examples_,
                         seconds, static_cast<double>(examples_) / seconds));
}

void ClusterChief::SayGoodbye() {
  ControlRequest end;
  end.kind = ControlKind::kEnd;
  {
    MutexLock lock(&mutex_);
    end.run = run_;
  }
  const microseconds start = clock_->Monotonic();
  // Who comes late is to hear of the end too.
  const auto is_over = [&] {
    return hooks_.stop_requested() ||
           (!AwaitsWorkers() &&
            (coordinator_->all_told() || clock_->Monotonic() - start >= kGoodbye));
  };
  while (!is_over()) {
    std::this_thread::sleep_for(kTick);
    AnswerWaiting(ToMilliseconds(clock_->Monotonic()));
    coordinator_->Tick(ToMilliseconds(clock_->Monotonic()));
  }
  for (size_t i = 0; i < cluster_.spec.ps.size(); ++i) {
    const microseconds first_call = clock_->Monotonic();
    Status status;
    for (;;) {
      status = CallAndWait(transport_, cluster_.spec.ps[i], Method::kControl, end.Encode(),
                           kCallDeadline)
                   .status();
      if (!absl::IsUnavailable(status) || clock_->Monotonic() - first_call >= kFarewell) break;
      std::this_thread::sleep_for(kPoll);
    }
    if (!status.ok()) {
      hooks_.log(fmt::format("ps {} ({}) did not hear of the end: {}", i, cluster_.spec.ps[i],
                             Message(status)));
    }
  }
}

}  // namespace capstan
