// `capstan train`.
#include <algorithm>
#include <csignal>
#include <cstdio>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/file_system.h"
#include "base/nearest.h"
#include "base/worker_pool.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/file_scoring.h"
#include "cli/train_flags.h"
#include "train/saved_model_export.h"
#include "train/session.h"

namespace capstan {
namespace {

// Written by the signal handler only; the one thing in the program that cannot be passed in.
volatile std::sig_atomic_t g_stop_signal = 0;

void OnStopSignal(int signal) {
  // A second one ends the process at once.
  if (g_stop_signal != 0) std::_Exit(128 + signal);
  g_stop_signal = signal;
}

void CatchStopSignals() {
  struct sigaction action = {};
  action.sa_handler = OnStopSignal;
  ::sigaction(SIGTERM, &action, nullptr);
  ::sigaction(SIGINT, &action, nullptr);
}

// --mode=inference: accuracy and AUC of the newest checkpoint on files, and the probabilities as
// text.
int Infer(FileSystem& fs, const TrainFlags& values, const SessionOptions& session,
          Console* console) {
  FileScoringOptions options;
  options.source = session.checkpoint_path;
  options.stream = session.validation;
  if (!values.inference_data_file.empty()) {
    StatusOr<std::vector<std::string>> paths = ExpandPaths(fs, values.inference_data_file);
    if (!paths.ok()) return Fail("train", paths.status());
    options.stream.paths = *paths;
  }
  if (options.stream.paths.empty()) {
    return FailUsage("train", Error("--mode=inference wants --inference_data_file"));
  }
  options.evaluate = true;
  options.output = values.inference_result_file;
  options.output_format = "script";
  options.threads = ThreadCount(values.threads);
  options.log = [console](const std::string& line) { console->Log(line); };
  const Status status = ScoreFiles(fs, options);
  return status.ok() ? kExitOk : Fail("train", status);
}

int Export(FileSystem& fs, const TrainFlags& values, const SessionOptions& session,
           Console* console) {
  WorkerPool pool(ThreadCount(values.threads));
  const StatusOr<std::string> path =
      ExportCheckpoint(fs, session.checkpoint_path, nullptr, session.model_path, &pool);
  if (!path.ok()) return Fail("train", path.status());
  console->Log("Save the model in: " + *path);
  return kExitOk;
}

int Train(FileSystem& fs, const ModelSpec& spec, const TrainFlags& values,
          const SessionOptions& options, Console* console) {
  WorkerPool pool(ThreadCount(values.threads));
  SystemClock clock;
  CatchStopSignals();
  SessionHooks hooks;
  hooks.log = [console](const std::string& line) { console->Log(line); };
  hooks.progress = [console](const SessionProgress& progress) { console->ShowProgress(progress); };
  hooks.stop_requested = [] { return g_stop_signal != 0; };
  const StatusOr<SessionResult> result = RunSession(&fs, &pool, &clock, spec, options, hooks);
  if (!result.ok()) return Fail("train", result.status());
  return result->stopped ? kExitTerminated : kExitOk;
}

}  // namespace

int TrainCommand(const Args& args) {
  TrainFlags values;
  FlagSet flags("train", "records in; checkpoints, TensorBoard events and a SavedModel out");
  DeclareTrainFlags(&flags, &values);
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  const std::vector<std::string> modes = {"train",      "train_from_scratch", "inference",
                                          "savedmodel", "save_model",         "export"};
  if (std::find(modes.begin(), modes.end(), values.mode) == modes.end()) {
    return FailUsage("train", Error("flag --mode: unknown '{}'{}", values.mode,
                                    NearestHint(values.mode, modes)));
  }
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  const StatusOr<ModelSpec> spec = ModelSpecFromFlags(*fs, flags, values);
  if (!spec.ok()) return Fail("train", spec.status());
  const StatusOr<SessionOptions> options = SessionOptionsFromFlags(*fs, flags, values, *spec);
  if (!options.ok()) return Fail("train", options.status());

  Console console(values.log_json, values.quiet);
  if (values.mode == "inference") return Infer(*fs, values, *options, &console);
  if (values.mode == "train" || values.mode == "train_from_scratch") {
    return Train(*fs, *spec, values, *options, &console);
  }
  return Export(*fs, values, *options, &console);
}

}  // namespace capstan
