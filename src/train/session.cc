#include "train/session.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "formats/event_file.h"
#include "train/checkpoint_file.h"
#include "train/checkpoint_folder.h"
#include "train/checkpoint_saver.h"
#include "train/model_state.h"
#include "train/report_line.h"
#include "train/saved_model_export.h"
#include "train/scorer.h"
#include "train/session_events.h"
#include "train/trainer.h"
#include "train/training_window.h"

namespace capstan {
namespace {

using std::chrono::microseconds;

constexpr int64_t kTrainWindow = 10000;  // examples that train_acc and train_auc look back
constexpr int64_t kBenchmarkWarmupSteps = 50;
constexpr int64_t kSmallModelBytes =
    64 << 20;  // its checkpoints cost nothing: each better one is kept
constexpr microseconds kProgressInterval{200'000};

double Seconds(microseconds span) { return std::chrono::duration<double>(span).count(); }

// The run itself. Members in the order in which they are made.
class Session {
 public:
  Session(FileSystem* fs, WorkerPool* pool, Clock* clock, const SessionOptions& options,
          const SessionHooks& hooks)
      : fs_(fs), pool_(pool), clock_(clock), options_(options), hooks_(hooks) {}

  Status Open(ModelSpec spec);
  StatusOr<SessionResult> Run();

 private:
  Status OpenCheckpoints();
  Status Restore(ModelSpec* spec, const std::string& newest);
  Status OpenInput();
  StatusOr<bool> TrainOneBatch();
  Status ReportAndSave(bool last);
  Status MakeReport(Report* report);
  Status SaveIfDue(bool better, bool last);
  Status EndOfRun();
  void ShowProgress();

  const ModelSpec& spec() const { return state_.model->spec(); }
  bool WantsCheckpoints() const { return !options_.checkpoint_path.empty() && !options_.benchmark; }

  FileSystem* const fs_;
  WorkerPool* const pool_;
  Clock* const clock_;
  const SessionOptions options_;
  const SessionHooks& hooks_;

  std::unique_ptr<CheckpointFolder> folder_;
  ModelState state_;
  std::unique_ptr<CheckpointSaver> saver_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<SessionEvents> events_;
  std::unique_ptr<BatchStream> stream_;
  std::unique_ptr<Batch> batch_;
  std::unique_ptr<TrainingWindow> window_;

  SessionResult result_;
  double last_loss_ = 0;
  int64_t examples_at_report_ = 0, step_at_report_ = 0, step_saved_ = -1, step_reported_ = -1;
  microseconds start_{0}, last_report_{0}, last_save_{0}, last_progress_{0}, warm_start_{0};
  int64_t examples_at_warm_start_ = 0;
  double fraction_at_start_ = -1;
};

Status Session::Open(ModelSpec spec) {
  RETURN_IF_ERROR(OpenCheckpoints());
  std::string newest;
  if (folder_ != nullptr && !options_.from_scratch) {
    ASSIGN_OR_RETURN(newest, folder_->Newest());
    if (newest.empty()) hooks_.log("Checkpoint not found: " + options_.checkpoint_path);
  }
  if (!newest.empty()) {
    RETURN_IF_ERROR(Restore(&spec, newest));
  } else {
    RETURN_IF_ERROR(
        MeasureStandardisation(*fs_, options_.train, kStandardiseExamples, &spec.input));
    ASSIGN_OR_RETURN(state_, NewModelState(spec, pool_));
    if (!options_.warm_start.empty()) {
      RETURN_IF_ERROR(WarmStart(*fs_, options_.warm_start, options_.warm_start_map, &state_));
      hooks_.log("Warm start from: " + options_.warm_start);
    }
  }
  if (folder_ != nullptr) {
    saver_ = std::make_unique<CheckpointSaver>(fs_, state_.model.get(), folder_.get(),
                                               JoinPath(options_.checkpoint_path, "graph.pbtxt"));
  }
  ASSIGN_OR_RETURN(trainer_, Trainer::Create(state_.model.get(), state_.parameters.get(), pool_,
                                             options_.slices, options_.train.batch_size));
  if (!options_.validation.paths.empty() && !options_.benchmark) {
    ASSIGN_OR_RETURN(scorer_, Scorer::Create(state_.model.get(), state_.parameters.get(), pool_,
                                             options_.validation.batch_size));
  }
  window_ = std::make_unique<TrainingWindow>(this->spec(), kTrainWindow);
  RETURN_IF_ERROR(OpenInput());
  if (!options_.output_path.empty() && !options_.benchmark) {
    ASSIGN_OR_RETURN(events_,
                     SessionEvents::Open(*fs_, options_.output_path, *clock_, *state_.model));
  }
  return OkStatus();
}

Status Session::OpenCheckpoints() {
  if (!WantsCheckpoints()) return OkStatus();
  ASSIGN_OR_RETURN(CheckpointFolder folder,
                   CheckpointFolder::Open(fs_, options_.checkpoint_path, options_.checkpoint_name,
                                          options_.keep_checkpoints));
  folder_ = std::make_unique<CheckpointFolder>(std::move(folder));
  if (options_.from_scratch) folder_->StartOver();
  return OkStatus();
}

Status Session::Restore(ModelSpec* spec, const std::string& newest) {
  RETURN_IF_ERROR(AdoptMeasuredFeatures(*fs_, newest, spec));
  ASSIGN_OR_RETURN(state_, NewModelState(*spec, pool_));
  StatusOr<RunState> run = RestoreCheckpoint(*fs_, newest, state_.parameters.get());
  if (!run.ok()) {
    return Annotate(run.status(), "go on from " + newest +
                                      " (another --checkpoint_path or "
                                      "--mode=train_from_scratch begins anew)");
  }
  state_.step = run->step;
  state_.position = run->position;
  state_.best_validation = run->best_validation;
  state_.examples = run->examples;
  step_saved_ = run->step;
  hooks_.log("Restore session from checkpoint: " + newest);
  return OkStatus();
}

Status Session::OpenInput() {
  ASSIGN_OR_RETURN(stream_, BatchStream::Open(*fs_, spec().input, options_.train, state_.position));
  hooks_.log("Train on: " + stream_->report().text);
  hooks_.log(fmt::format("Use the model: {}, the optimizer: {}{}", NameOf(spec().kind),
                         NameOf(spec().deep_optimizer.kind),
                         spec().wide_optimizer.kind == spec().deep_optimizer.kind
                             ? ""
                             : fmt::format(" (wide: {})", NameOf(spec().wide_optimizer.kind))));
  return OkStatus();
}

StatusOr<SessionResult> Session::Run() {
  start_ = last_report_ = last_save_ = last_progress_ = warm_start_ = clock_->Monotonic();
  step_at_report_ = state_.step;
  bool more = true;
  while (more && !result_.stopped) {
    ASSIGN_OR_RETURN(more, TrainOneBatch());
    if (!more) break;
    if (options_.benchmark) {
      if (result_.step == kBenchmarkWarmupSteps) {
        warm_start_ = clock_->Monotonic();
        examples_at_warm_start_ = result_.examples;
      }
    } else {
      RETURN_IF_ERROR(ReportAndSave(false));
    }
    ShowProgress();
    if (options_.max_steps > 0 && state_.step >= options_.max_steps) break;
    result_.stopped = hooks_.stop_requested();
  }
  RETURN_IF_ERROR(EndOfRun());
  result_.step = state_.step;
  return result_;
}

StatusOr<bool> Session::TrainOneBatch() {
  ASSIGN_OR_RETURN(const bool more, stream_->Next(&batch_));
  if (!more) return false;
  ASSIGN_OR_RETURN(const StepResult step, trainer_->Step(state_.step + 1, *batch_));
  ++state_.step;
  ++result_.step;
  state_.position = batch_->position;
  result_.examples += batch_->size;
  state_.examples += batch_->size;
  last_loss_ = step.loss;
  state_.parameters->Expire(state_.step);
  if (!options_.benchmark) window_->Add(*batch_, step.logits);
  return true;
}

Status Session::ReportAndSave(bool last) {
  const int64_t every = options_.steps_to_validate;
  bool better = false;
  const bool due = every > 0 && state_.step % every == 0;
  if ((due || last) && step_reported_ != state_.step) {
    Report report;
    RETURN_IF_ERROR(MakeReport(&report));
    step_reported_ = state_.step;
    hooks_.log(ReportLine(spec(), report));
    if (events_ != nullptr) {
      RETURN_IF_ERROR(events_->Write(report, state_.step - step_at_report_));
    }
    step_at_report_ = state_.step;
    examples_at_report_ = result_.examples;
    if (report.validated) {
      const double auc = report.validation.auc;
      const double metric = std::isnan(auc) ? -report.validation.loss : auc;
      better = std::isnan(state_.best_validation) || metric > state_.best_validation;
      if (better) state_.best_validation = metric;
    }
    last_report_ = clock_->Monotonic();
  }
  return folder_ == nullptr ? OkStatus() : SaveIfDue(better, last);
}

Status Session::MakeReport(Report* report) {
  const microseconds now = clock_->Monotonic();
  const double seconds = Seconds(now - last_report_);
  report->since_last = now - last_report_;
  report->step = state_.step;
  report->loss = last_loss_;
  const EvaluationResult window = window_->Result();
  report->train_accuracy = window.accuracy;
  report->train_auc = window.auc;
  report->examples_per_s =
      seconds > 0 ? static_cast<double>(result_.examples - examples_at_report_) / seconds : 0;
  if (scorer_ == nullptr) return OkStatus();
  report->validated = true;
  ASSIGN_OR_RETURN(report->validation, Evaluate(*fs_, options_.validation, scorer_.get()));
  return OkStatus();
}

Status Session::SaveIfDue(bool better, bool last) {
  RETURN_IF_ERROR(saver_->Finish(last));
  const microseconds now = clock_->Monotonic();
  const bool by_time =
      options_.checkpoint_secs > 0 && Seconds(now - last_save_) >= options_.checkpoint_secs;
  const bool by_steps =
      options_.checkpoint_steps > 0 && state_.step % options_.checkpoint_steps == 0;
  const bool small = state_.parameters->memory_bytes() <= kSmallModelBytes;
  if (!by_time && !by_steps && !last && !(better && small)) return OkStatus();
  if (state_.step == step_saved_ && !better) return OkStatus();
  if (saver_->busy()) {
    if (by_time && !by_steps && !(better && small)) return OkStatus();
    RETURN_IF_ERROR(saver_->Finish(true));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot,
                   state_.parameters->Cut(options_.snapshot_buffer_mb << 20));
  saver_->Start(std::move(snapshot),
                {.step = state_.step,
                 .position = state_.position,
                 .best_validation = state_.best_validation,
                 .examples = state_.examples},
                better);
  step_saved_ = state_.step;
  last_save_ = now;
  return last ? saver_->Finish(true) : OkStatus();
}

Status Session::EndOfRun() {
  const microseconds end = clock_->Monotonic();
  result_.seconds = Seconds(end - start_);
  const BadRecords bad = stream_->bad_records();
  if (bad.count > 0) {
    hooks_.log(fmt::format("left out {} bad records:", bad.count));
    for (const std::string& line : bad.first) hooks_.log("  " + line);
  }
  if (options_.benchmark) {
    const int64_t examples = result_.examples - examples_at_warm_start_;
    hooks_.log(fmt::format("Finish training for benchmark: {} examples, {:.0f} examples/s",
                           result_.examples,
                           static_cast<double>(examples) / Seconds(end - warm_start_)));
    return OkStatus();
  }
  RETURN_IF_ERROR(ReportAndSave(true));
  if (result_.step == 0) {
    hooks_.log(
        fmt::format("Nothing left to train: the checkpoint is at the end of epoch {}; a larger "
                    "--epoch_number goes on, --mode=train_from_scratch begins anew",
                    state_.position.epoch));
  } else {
    hooks_.log(fmt::format("Done training: {} examples in {:.1f} s, {:.0f} examples/s",
                           result_.examples, result_.seconds,
                           static_cast<double>(result_.examples) / result_.seconds));
  }
  if (folder_ != nullptr && step_saved_ >= 0) {
    hooks_.log("Save the checkpoint: " + folder_->PrefixOf(step_saved_));
  }
  if (result_.stopped) {
    hooks_.log(fmt::format("stopped by a signal after step {}; the same command goes on from here",
                           state_.step));
    return OkStatus();
  }
  if (!options_.model_path.empty()) {
    ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot,
                     state_.parameters->Cut(options_.snapshot_buffer_mb << 20));
    ASSIGN_OR_RETURN(result_.export_path,
                     ExportSavedModel(*fs_, options_.model_path, *state_.model, snapshot.get()));
    hooks_.log("Save the model in: " + result_.export_path);
  }
  return OkStatus();
}

void Session::ShowProgress() {
  const microseconds now = clock_->Monotonic();
  if (now - last_progress_ < kProgressInterval) return;
  last_progress_ = now;
  const InputPosition& p = state_.position;
  SessionProgress progress;
  progress.step = state_.step;
  const double files = static_cast<double>(options_.train.paths.size());
  const double epoch_part = std::min(1.0, static_cast<double>(p.file) / files);
  progress.fraction =
      (static_cast<double>(p.epoch) + epoch_part) / static_cast<double>(options_.train.epochs);
  const double seconds = Seconds(now - start_);
  if (fraction_at_start_ < 0) fraction_at_start_ = progress.fraction;
  const double done = progress.fraction - fraction_at_start_;
  if (done > 0) progress.seconds_left = seconds / done * (1 - progress.fraction);
  progress.examples_per_s = static_cast<double>(result_.examples) / seconds;
  hooks_.progress(progress);
}

}  // namespace

StatusOr<SessionResult> RunSession(FileSystem* fs, WorkerPool* pool, Clock* clock, ModelSpec spec,
                                   const SessionOptions& options, const SessionHooks& hooks) {
  Session session(fs, pool, clock, options, hooks);
  RETURN_IF_ERROR(session.Open(std::move(spec)));
  return session.Run();
}

}  // namespace capstan
