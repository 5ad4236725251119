// `capstan train`.
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/file_system.h"
#include "base/nearest.h"
#include "base/worker_pool.h"
#include "cli/cluster_flags.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/file_scoring.h"
#include "cli/stop_signals.h"
#include "cli/train_flags.h"
#include "net/grpc_log.h"
#include "train/saved_model_export.h"
#include "train/session.h"

namespace capstan {
namespace {

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

SessionHooks ConsoleHooks(Console* console) {
  SessionHooks hooks;
  hooks.log = [console](const std::string& line) { console->Log(line); };
  hooks.progress = [console](const SessionProgress& progress) { console->ShowProgress(progress); };
  hooks.stop_requested = [] { return StopSignal() != 0; };
  return hooks;
}

// A task of a cluster; its lines say which. A server needs no model and no data of its own.
int TrainInCluster(FileSystem& fs, const FlagSet& flags, const TrainFlags& values,
                   const ClusterFlags& cluster, const std::string& tf_config, Console* console) {
  StatusOr<ClusterTaskOptions> task = ClusterTaskFromFlags(
      fs, cluster, tf_config, [console](const std::string& line) { console->Log(line); });
  if (!task.ok()) return FailUsage("train", task.status());
  const ClusterSpec& spec = task->cluster.spec;
  console->SetTask(spec.task_name());
  task->threads = ThreadCount(values.threads);
  std::optional<ModelSpec> model;
  if (spec.role != TaskRole::kPs) {
    StatusOr<ModelSpec> found = ModelSpecFromFlags(fs, flags, values);
    if (!found.ok()) return Fail("train", found.status());
    model = *std::move(found);
    const StatusOr<SessionOptions> session = SessionOptionsFromFlags(fs, flags, values, *model);
    if (!session.ok()) return Fail("train", session.status());
    task->session = *session;
    // What the article shows: checkpoint/ with model.ckpt-N, events and graph.pbtxt in one folder.
    task->session.checkpoint_name = "model.ckpt";
    if (!flags.Given("output_path")) task->session.output_path = task->session.checkpoint_path;
    if (task->session.checkpoint_path.empty()) {
      return FailUsage("train", Error("a cluster wants a --checkpoint_path"));
    }
  } else if (flags.Given("checkpoint_path") && values.checkpoint_path != "none") {
    task->session.checkpoint_path = values.checkpoint_path;
  }
  SystemClock clock;
  CatchStopSignals();
  SetGrpcLog(nullptr);  // what matters of it comes as statuses, with names
  const StatusOr<ClusterEnd> end = RunClusterTask(&fs, &clock, model, *task, ConsoleHooks(console));
  if (!end.ok()) return Fail("train", Annotate(end.status(), spec.task_name()));
  if (end->peers_gone) {
    Fail("train", Error("{}", end->message));
    return kExitPeersGone;
  }
  if (!end->message.empty()) return Fail("train", Error("{}", end->message));
  return end->stopped ? kExitTerminated : kExitOk;
}

int Train(FileSystem& fs, const ModelSpec& spec, const TrainFlags& values,
          const SessionOptions& options, Console* console) {
  WorkerPool pool(ThreadCount(values.threads));
  SystemClock clock;
  CatchStopSignals();
  const StatusOr<SessionResult> result =
      RunSession(&fs, &pool, &clock, spec, options, ConsoleHooks(console));
  if (!result.ok()) return Fail("train", result.status());
  return result->stopped ? kExitTerminated : kExitOk;
}

}  // namespace

int TrainCommand(const Args& args) {
  TrainFlags values;
  FlagSet flags("train", "records in; checkpoints, TensorBoard events and a SavedModel out");
  DeclareTrainFlags(&flags, &values);
  ClusterFlags cluster;
  DeclareClusterFlags(&flags, &cluster);
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  const std::vector<std::string> modes = {"train",      "train_from_scratch", "inference",
                                          "savedmodel", "save_model",         "export"};
  if (std::find(modes.begin(), modes.end(), values.mode) == modes.end()) {
    return FailUsage("train", Error("flag --mode: unknown '{}'{}", values.mode,
                                    NearestHint(values.mode, modes)));
  }
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  Console console(values.log_json, values.quiet);
  const char* tf_config = std::getenv("TF_CONFIG");
  const std::string tf_config_text = tf_config == nullptr ? "" : tf_config;
  if (IsClusterTask(cluster, tf_config_text) &&
      (values.mode == "train" || values.mode == "train_from_scratch")) {
    return TrainInCluster(*fs, flags, values, cluster, tf_config_text, &console);
  }
  const StatusOr<ModelSpec> spec = ModelSpecFromFlags(*fs, flags, values);
  if (!spec.ok()) return Fail("train", spec.status());
  const StatusOr<SessionOptions> options = SessionOptionsFromFlags(*fs, flags, values, *spec);
  if (!options.ok()) return Fail("train", options.status());

  if (values.mode == "inference") return Infer(*fs, values, *options, &console);
  if (values.mode == "train" || values.mode == "train_from_scratch") {
    return Train(*fs, *spec, values, *options, &console);
  }
  return Export(*fs, values, *options, &console);
}

}  // namespace capstan
