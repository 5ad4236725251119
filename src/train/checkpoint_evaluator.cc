#include "train/checkpoint_evaluator.h"

#include <fmt/format.h>

#include <thread>

#include "formats/checkpoint_state.h"
#include "formats/tensor_bundle_reader.h"
#include "train/checkpoint_file.h"
#include "train/model_state.h"
#include "train/report_line.h"
#include "train/scorer.h"
#include "train/session_events.h"

namespace capstan {
namespace {
constexpr std::chrono::milliseconds kLook{500};
}

StatusOr<ClusterEnd> EvaluateCheckpoints(
    FileSystem* fs, Clock* clock, const SessionOptions& options, int threads,
    const SessionHooks& hooks,
    const std::function<void(int64_t step, const EvaluationResult&)>& evaluated) {
  if (options.validation.paths.empty()) return Error("an evaluator wants --validation_files");
  WorkerPool pool(threads);
  std::unique_ptr<SessionEvents> events;
  std::string seen;
  int64_t last_step = 0;
  const std::string waiting = "waiting for checkpoints in " + options.checkpoint_path;
  hooks.log(waiting);
  while (!hooks.stop_requested()) {
    const StatusOr<std::string> newest = LatestCheckpoint(*fs, options.checkpoint_path);
    if (!newest.ok() || *newest == seen) {
      if (fs->Exists(JoinPath(options.checkpoint_path, kTrainingDoneFile)) && !seen.empty()) {
        return ClusterEnd();
      }
      hooks.waiting(waiting);
      std::this_thread::sleep_for(kLook);
      continue;
    }
    hooks.waiting("");
    const auto start = clock->Monotonic();
    const ModelSource source{.prefix = *newest};
    const auto evaluate = [&]() -> Status {
      ASSIGN_OR_RETURN(const ModelSpec spec, ReadCarriedModelSpec(*fs, source));
      ASSIGN_OR_RETURN(ModelState state, LoadModelState(*fs, source, spec, &pool));
      ASSIGN_OR_RETURN(const auto reader, TensorBundleReader::Open(*fs, *newest));
      ASSIGN_OR_RETURN(const RunState run, ReadRunState(*reader));
      ASSIGN_OR_RETURN(std::unique_ptr<Scorer> scorer,
                       Scorer::Create(state.model.get(), state.parameters.get(), &pool,
                                      options.validation.batch_size));
      Report report;
      report.step = run.step;
      report.loss = std::nan("");
      report.train_accuracy = report.train_auc = std::nan("");
      report.validated = true;
      ASSIGN_OR_RETURN(report.validation, Evaluate(*fs, options.validation, scorer.get()));
      report.since_last = clock->Monotonic() - start;
      evaluated(run.step, report.validation);
      hooks.log(fmt::format("Step: {}, {}", run.step, EvaluationLine(spec, report.validation)));
      if (events == nullptr && !options.output_path.empty()) {
        ASSIGN_OR_RETURN(events, SessionEvents::Open(*fs, JoinPath(options.output_path, "eval"),
                                                     *clock, *state.model));
      }
      return events == nullptr ? OkStatus() : events->Write(report, run.step - last_step);
    };
    const Status status = evaluate();
    // A checkpoint that was removed while it was read: the next one comes.
    if (!status.ok() && fs->Exists(*newest + ".index")) return status;
    seen = *newest;
  }
  return ClusterEnd{.stopped = true};
}

}  // namespace capstan
