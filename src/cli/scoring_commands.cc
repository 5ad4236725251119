// `capstan evaluate`, `capstan predict` and `capstan export`: they differ in what they do with a
// model.
#include <cmath>
#include <cstdio>

#include "base/exit_code.h"
#include "base/worker_pool.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "cli/file_scoring.h"
#include "cli/train_flags.h"
#include "train/model_state.h"
#include "train/prediction_writer.h"
#include "train/saved_model_export.h"

namespace capstan {
namespace {

struct ScoringFlags {
  std::string model_path, checkpoint_path, files, file_format, model_file;
  std::string group_column, weight_column, id_columns;
  std::string output = "-", output_format;
  int batch_size = 2048, threads = 0, input_threads = 1;
  int64_t max_bad_records = 0;
  bool json = false, quiet = false;
};

void DeclareSource(FlagSet* flags, ScoringFlags* v) {
  flags->Group("model");
  flags->Add("model_path", &v->model_path, "SavedModel: its folder, or the folder of its versions");
  flags->Add("checkpoint_path", &v->checkpoint_path,
             "instead: a folder of checkpoints, or a checkpoint's prefix", {"checkpoint_dir"});
  flags->Add("model_file", &v->model_file,
             "the model in YAML, for weights that capstan did not write");
}

void DeclareRecords(FlagSet* flags, ScoringFlags* v) {
  flags->Group("records");
  flags->Add("files", &v->files, "comma list and globs",
             {"validation_files", "inference_data_file"});
  flags->Add("file_format", &v->file_format,
             "tfrecord, csv, libsvm, criteo; empty: found by looking");
  flags->Add("batch_size", &v->batch_size, "examples per batch", {"validation_batch_size"});
  flags->Add("max_bad_records", &v->max_bad_records, "bad records to leave out before giving up");
  flags->Group("run");
  flags->Add("threads", &v->threads, "that compute; 0: one per processor");
  flags->Add("input_threads", &v->input_threads, "that parse records");
  flags->Add("quiet", &v->quiet, "no log lines");
}

// The one of --model_path and --checkpoint_path that was given.
StatusOr<std::string> SourceOf(const ScoringFlags& v) {
  if (v.model_path.empty() == v.checkpoint_path.empty()) {
    return UsageError(Error("give one of --model_path and --checkpoint_path"));
  }
  return v.model_path.empty() ? v.checkpoint_path : v.model_path;
}

// Options that both commands share; `spec` holds the model file's model, if one was given.
Status FillOptions(FileSystem& fs, const ScoringFlags& v, ModelSpec* spec,
                   FileScoringOptions* options) {
  ASSIGN_OR_RETURN(options->source, SourceOf(v));
  if (v.files.empty()) return UsageError(Error("flag --files is missing"));
  RETURN_IF_ERROR(CheckFileFormat(v.file_format));
  ASSIGN_OR_RETURN(options->stream.paths, ExpandPaths(fs, v.files));
  if (v.batch_size < 1 || v.input_threads < 0) {
    return UsageError(Error("flag --batch_size or --input_threads is out of range"));
  }
  options->stream.format = v.file_format;
  options->stream.batch_size = v.batch_size;
  options->stream.shuffle_block = 0;
  options->stream.threads = v.input_threads;
  options->stream.max_bad_records = v.max_bad_records;
  options->group = v.group_column;
  options->example_weight = v.weight_column;
  options->id_columns = v.id_columns;
  options->threads = ThreadCount(v.threads);
  if (!v.model_file.empty()) {
    ASSIGN_OR_RETURN(*spec, ReadModelFile(fs, v.model_file));
    options->spec = spec;
  }
  return OkStatus();
}

std::string ResultAsJson(const EvaluationResult& r) {
  std::string text = fmt::format("{{\"examples\": {}", r.examples);
  const auto add = [&text](const char* name, double value) {
    if (std::isfinite(value)) text += fmt::format(", \"{}\": {:.9g}", name, value);
  };
  add("loss", r.loss);
  add("accuracy", r.accuracy);
  add("auc", r.auc);
  add("auc_pr", r.auc_pr);
  add("gauc", r.gauc);
  add("log_loss", r.log_loss);
  add("calibration", r.calibration);
  add("rmse", r.rmse);
  add("r2", r.r2);
  return text + "}\n";
}

}  // namespace

int EvaluateCommand(const Args& args) {
  ScoringFlags v;
  FlagSet flags("evaluate", "metrics of a checkpoint or SavedModel on files");
  DeclareSource(&flags, &v);
  DeclareRecords(&flags, &v);
  flags.Add("group_column", &v.group_column, "column that groups examples for GAUC");
  flags.Add("weight_column", &v.weight_column, "column with a weight for each example");
  flags.Add("json", &v.json, "the metrics as one JSON object on the standard output");
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  Console console(false, v.quiet || v.json);
  FileScoringOptions options;
  ModelSpec spec;
  options.evaluate = true;
  options.log = [&](const std::string& line) { console.Log(line); };
  if (v.json) {
    options.result = [](const EvaluationResult& result) {
      std::fputs(ResultAsJson(result).c_str(), stdout);
    };
  }
  Status status = FillOptions(*fs, v, &spec, &options);
  if (status.ok()) status = ScoreFiles(*fs, options);
  return status.ok() ? kExitOk : Fail("evaluate", status);
}

int PredictCommand(const Args& args) {
  ScoringFlags v;
  FlagSet flags("predict", "predictions of a checkpoint or SavedModel for the records of files");
  DeclareSource(&flags, &v);
  DeclareRecords(&flags, &v);
  flags.Group("output");
  flags.Add("output", &v.output, "file of predictions; -: standard output",
            {"inference_result_file"});
  flags.Add("output_format", &v.output_format,
            "csv, json, tfrecord, script; empty: by the file's ending");
  flags.Add("id_columns", &v.id_columns, "columns carried through (comma list)");
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  Console console(false, v.quiet);
  FileScoringOptions options;
  ModelSpec spec;
  options.output = v.output;
  options.output_format = v.output_format;
  options.log = [&](const std::string& line) { console.Log(line); };
  Status status = UsageError(
      Annotate(ParsePredictionFormat(v.output_format, v.output).status(), "flag --output_format"));
  if (status.ok()) status = FillOptions(*fs, v, &spec, &options);
  if (status.ok()) status = ScoreFiles(*fs, options);
  return status.ok() ? kExitOk : Fail("predict", status);
}

int ExportCommand(const Args& args) {
  ScoringFlags v;
  v.model_path = "./model/";
  v.checkpoint_path = "./checkpoint/";
  FlagSet flags("export", "checkpoint to SavedModel");
  flags.Add("checkpoint_path", &v.checkpoint_path,
            "folder of checkpoints, or a checkpoint's prefix", {"checkpoint_dir"});
  flags.Add("model_path", &v.model_path, "base folder; the export gets the next free version");
  flags.Add("model_file", &v.model_file,
            "the model in YAML, for a checkpoint that capstan did not write");
  flags.Add("threads", &v.threads, "that compute; 0: one per processor");
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  Console console(false, false);
  WorkerPool pool(ThreadCount(v.threads));
  const StatusOr<std::string> path = [&]() -> StatusOr<std::string> {
    ModelSpec spec;
    if (!v.model_file.empty()) {
      ASSIGN_OR_RETURN(spec, ReadModelFile(*fs, v.model_file));
    }
    return ExportCheckpoint(*fs, v.checkpoint_path, v.model_file.empty() ? nullptr : &spec,
                            v.model_path, &pool);
  }();
  if (!path.ok()) return Fail("export", path.status());
  console.Log("Save the model in: " + *path);
  return kExitOk;
}

}  // namespace capstan
