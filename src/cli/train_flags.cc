#include "cli/train_flags.h"

#include <sched.h>

#include <sstream>

#include "data/batch_stream.h"
#include "data/record_reader.h"
#include "model/model_file.h"

namespace capstan {
namespace {

void DeclareData(FlagSet* f, TrainFlags* v) {
  f->Group("data");
  f->Add("train_files", &v->train_files, "files to train on: comma list and globs", {"train_file"});
  f->Add("validation_files", &v->validation_files, "files to validate on; empty: none",
         {"validate_file", "validate_files", "validation_file"});
  f->Add("file_format", &v->file_format,
         "tfrecord (also tfrecords), csv, libsvm, criteo; empty: found by looking",
         {"train_file_format", "input_file_format"});
  f->Add("train_batch_size", &v->train_batch_size,
         "examples per step; 0: 64, with a model file 2048", {"batch_size"});
  f->Add("validation_batch_size", &v->validation_batch_size, "examples per validation batch",
         {"validate_batch_size"});
  f->Add("epoch_number", &v->epoch_number,
         "passes over the training files; 0: 100 (dense), 10 (sparse), 1 (model file)");
  f->Add("shuffle_block", &v->shuffle_block, "examples shuffled together; 0: the files' order",
         {"min_after_dequeue"});
  f->Add("max_bad_records", &v->max_bad_records, "bad records to leave out before giving up");
  f->Add("label_column", &v->label_column,
         "name of the label; or first, last: where it stands in CSV");
  f->Add("id_columns", &v->id_columns, "columns carried through to predictions (comma list)");
  f->Add("group_column", &v->group_column, "column that groups examples for GAUC");
  f->Add("weight_column", &v->weight_column, "column with a weight for each example");
}

void DeclareModel(FlagSet* f, TrainFlags* v) {
  ScriptModelOptions& s = v->script;
  f->Group("model");
  f->Add("model_file", &v->model_file, "model in YAML (docs/model_file.md)");
  f->Add("model", &s.model, "lr, dnn, wide_and_deep, customized, fm, deepfm");
  f->Add("dnn_struct", &s.dnn_struct, "widths of the hidden layers, by blanks", {"model_network"});
  f->Add("feature_size", &s.feature_size,
         "width of dense features, or ids in [0, size); 0: what the data shows, or 124");
  f->Add("label_size", &s.label_size, "classes");
  f->Add("loss", &s.loss, "softmax (also sparse_cross_entropy), sigmoid, mean_square");
  f->Add("scenario", &s.scenario, "classification or regression");
  f->Add("enable_bn", &s.enable_bn, "batch normalisation");
  f->Add("bn_epsilon", &s.bn_epsilon, "its epsilon");
  f->Add("enable_dropout", &s.enable_dropout, "dropout before the output layer");
  f->Add("dropout_keep_prob", &s.dropout_keep_prob, "probability of keeping a unit");
  f->Add("class_weights", &s.class_weights, "factor on the loss of each class (comma list)");
  f->Add("init", &s.init, "glorot, or normal1: N(0, 1) as in 2018");
  f->Add("precision", &v->precision, "of matrix products: fp32 or bf16");

  f->Group("optimizer");
  f->Add("optimizer", &s.optimizer,
         "sgd, momentum, adagrad, adadelta, adam, ftrl, rmsprop, rowwise_adagrad");
  f->Add("learning_rate", &s.learning_rate, "of all parts");
  f->Add("wide_optimizer", &s.wide_optimizer, "of the wide part; empty: as --optimizer");
  f->Add("wide_learning_rate", &s.wide_learning_rate, "of the wide part; 0: as --learning_rate");
  f->Add("l1", &s.l1, "l1 strength");
  f->Add("l2", &s.l2, "l2 strength");
  f->Add("enable_lr_decay", &s.enable_lr_decay, "rate × decay_rate every 100,000 steps");
  f->Add("lr_decay_rate", &s.lr_decay_rate, "see --enable_lr_decay");
}

void DeclareRun(FlagSet* f, TrainFlags* v) {
  SessionOptions& s = v->session;
  f->Group("run");
  f->Add("mode", &v->mode,
         "train (goes on from a checkpoint), train_from_scratch, inference, savedmodel");
  f->Add("resume_from_checkpoint", &v->resume_from_checkpoint,
         "false: as --mode=train_from_scratch");
  f->Add("steps_to_validate", &v->steps_to_validate,
         "steps between reports, each with a full validation; 0: at the end only; -1: 10, with a "
         "model file 1000",
         {"step_to_validate"});
  f->Add("max_steps", &s.max_steps, "steps to end after; 0: when the data is done");
  f->Add("seed", &v->seed, "of initial weights, order of examples, dropout");
  f->Add("threads", &v->threads, "that compute; 0: one per processor", {"thread_number"});
  f->Add("input_threads", &v->input_threads, "that parse records", {"batch_thread_number"});
  f->Add("slices", &s.slices, "parts of a batch that are computed apart and added in order");
  f->Add("enable_benchmark", &s.benchmark, "only train: no reports, checkpoints, export",
         {"benchmark_mode"});
  f->Add("log_json", &v->log_json, "log lines as JSON");
  f->Add("quiet", &v->quiet, "no log lines");

  f->Group("output");
  f->Add("checkpoint_path", &v->checkpoint_path,
         "folder of checkpoints; none: no checkpoints; empty: ./checkpoint/ (sparse: "
         "./sparse_checkpoint/)",
         {"checkpoint_dir"});
  f->Add("checkpoint_secs", &s.checkpoint_secs, "seconds between checkpoints; 0: not by time");
  f->Add("checkpoint_steps", &s.checkpoint_steps, "steps between checkpoints; 0: not by steps");
  f->Add("keep_checkpoints", &s.keep_checkpoints, "newest checkpoints that stay (and the best)");
  f->Add("snapshot_buffer_mb", &s.snapshot_buffer_mb,
         "memory for rows that change while a checkpoint is written");
  f->Add("output_path", &v->output_path,
         "folder of TensorBoard events; none: no events; empty: ./tensorboard/ (sparse: "
         "./sparse_tensorboard/)",
         {"tensorboard_dir", "output_dir"});
  f->Add("model_path", &v->model_path,
         "base folder of SavedModels; none: no export; empty: ./model/ (sparse: ./sparse_model/)");
  f->Add("warm_start", &s.warm_start, "checkpoint (prefix or folder) to take first weights from");
  f->Add("warm_start_map", &s.warm_start_map, "ours=theirs,…: names there; empty: the same names");
  f->Add("inference_data_file", &v->inference_data_file,
         "--mode=inference: files to predict; empty: the validation files",
         {"inference_test_file"});
  f->Add("inference_result_file", &v->inference_result_file,
         "--mode=inference: probabilities, one line per example");
}

std::vector<std::string> SplitByCommas(const std::string& text) {
  std::vector<std::string> words;
  std::istringstream stream(text);
  std::string word;
  while (std::getline(stream, word, ',')) {
    if (!word.empty()) words.push_back(word);
  }
  return words;
}

// Flags that speak of the records rather than of the model.
void ApplyInputFlags(const TrainFlags& v, InputSpec* input) {
  if (!v.id_columns.empty()) input->id_columns = SplitByCommas(v.id_columns);
  if (!v.group_column.empty()) input->group = v.group_column;
  if (!v.weight_column.empty()) input->example_weight = v.weight_column;
  if (v.label_column == "first" || v.label_column == "last") {
    input->csv_label = v.label_column;
  } else if (!v.label_column.empty()) {
    input->label = v.label_column;
  }
}

// Given flags win over the model file.
Status OverrideModelFile(const FlagSet& flags, const TrainFlags& v, ModelSpec* spec) {
  const ScriptModelOptions& s = v.script;
  for (const char* name : {"model", "dnn_struct", "feature_size", "label_size", "loss", "scenario",
                           "enable_bn", "enable_dropout", "init", "class_weights"}) {
    if (flags.Given(name)) {
      return Error("flag --{} describes a model, but --model_file={} does too; change it there",
                   name, v.model_file);
    }
  }
  if (flags.Given("optimizer")) {
    ASSIGN_OR_RETURN(spec->deep_optimizer.kind, ParseOptimizer(s.optimizer));
    spec->wide_optimizer.kind = spec->deep_optimizer.kind;
  }
  if (flags.Given("wide_optimizer")) {
    ASSIGN_OR_RETURN(spec->wide_optimizer.kind, ParseOptimizer(s.wide_optimizer));
  }
  if (flags.Given("learning_rate")) {
    spec->deep_optimizer.learning_rate = spec->wide_optimizer.learning_rate = s.learning_rate;
  }
  if (flags.Given("wide_learning_rate")) {
    spec->wide_optimizer.learning_rate = s.wide_learning_rate;
  }
  if (flags.Given("l1")) spec->deep_optimizer.l1 = spec->wide_optimizer.l1 = s.l1;
  if (flags.Given("l2")) spec->deep_optimizer.l2 = spec->wide_optimizer.l2 = s.l2;
  if (flags.Given("seed")) spec->seed = static_cast<uint64_t>(v.seed);
  return CheckModelSpec(*spec);
}

std::string FormatName(const std::string& flag) { return flag == "tfrecords" ? "tfrecord" : flag; }

std::string PathOr(const std::string& given, const std::string& otherwise) {
  return given == "none" ? "" : given.empty() ? otherwise : given;
}

}  // namespace

Status CheckFileFormat(const std::string& name) {
  if (name.empty()) return OkStatus();
  return UsageError(Annotate(RecordFormatByName(name).status(), "flag --file_format"));
}

void DeclareTrainFlags(FlagSet* flags, TrainFlags* values) {
  DeclareData(flags, values);
  DeclareModel(flags, values);
  DeclareRun(flags, values);
}

StatusOr<ModelSpec> ModelSpecFromFlags(FileSystem& fs, const FlagSet& flags, const TrainFlags& v) {
  RETURN_IF_ERROR(CheckFileFormat(FormatName(v.file_format)));
  ModelSpec spec;
  if (!v.model_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, v.model_file, 64 << 20));
    ASSIGN_OR_RETURN(spec, ParseModelFile(text, v.model_file));
    RETURN_IF_ERROR(UsageError(OverrideModelFile(flags, v, &spec)));
    ApplyInputFlags(v, &spec.input);
  } else {
    ASSIGN_OR_RETURN(const std::vector<std::string> paths, ExpandPaths(fs, v.train_files));
    ASSIGN_OR_RETURN(InputSpec detected, DetectInputSpec(fs, paths, FormatName(v.file_format)));
    ApplyInputFlags(v, &detected);
    ScriptModelOptions script = v.script;
    script.seed = static_cast<uint64_t>(v.seed);
    StatusOr<ModelSpec> made = MakeScriptModel(script, detected);
    if (!made.ok()) return UsageError(made.status());
    spec = *std::move(made);
  }
  if (v.precision == "bf16") {
    spec.precision = Precision::kBf16;
  } else if (v.precision != "fp32") {
    return UsageError(Error("flag --precision: unknown '{}', wanted fp32 or bf16", v.precision));
  }
  return spec;
}

StatusOr<SessionOptions> SessionOptionsFromFlags(FileSystem& fs, const FlagSet& flags,
                                                 const TrainFlags& v, const ModelSpec& spec) {
  const bool model_file = !v.model_file.empty();
  const bool sparse = !model_file && IsSparse(spec.input);
  SessionOptions options = v.session;
  if (v.epoch_number < 0 || (flags.Given("epoch_number") && v.epoch_number == 0)) {
    return UsageError(
        Error("flag --epoch_number={}: training ends, wanted 1 or more", v.epoch_number));
  }
  if (v.train_batch_size < 0 || v.validation_batch_size < 1 || v.train_batch_size > (1 << 24)) {
    return UsageError(Error("flag --train_batch_size or --validation_batch_size is out of range"));
  }
  if (v.input_threads < 0 || v.input_threads > 256 || options.slices < 1 || options.slices > 1024) {
    return UsageError(Error("flag --input_threads or --slices is out of range"));
  }
  BatchStreamOptions& train = options.train;
  ASSIGN_OR_RETURN(train.paths, ExpandPaths(fs, v.train_files));
  train.format = FormatName(v.file_format);
  train.batch_size = v.train_batch_size > 0 ? v.train_batch_size : model_file ? 2048 : 64;
  train.epochs = v.epoch_number > 0 ? v.epoch_number : model_file ? 1 : sparse ? 10 : 100;
  train.shuffle_block = v.shuffle_block;
  train.seed = spec.seed;
  train.threads = v.input_threads;
  train.max_bad_records = v.max_bad_records;

  std::string validation_files = v.validation_files;
  const std::string script_files = "./data/cancer/cancer_test.csv.tfrecords";
  if (validation_files.empty() && !flags.Given("train_files") && fs.Exists(script_files)) {
    validation_files = script_files;
  }
  options.validation = train;
  options.validation.paths.clear();
  if (!validation_files.empty()) {
    ASSIGN_OR_RETURN(options.validation.paths, ExpandPaths(fs, validation_files));
  }
  options.validation.batch_size = v.validation_batch_size;
  options.validation.epochs = 1;
  options.validation.shuffle_block = 0;

  options.steps_to_validate = v.steps_to_validate >= 0 ? v.steps_to_validate
                              : model_file             ? 1000
                                                       : 10;
  const std::string prefix = sparse ? "./sparse_" : "./";
  options.checkpoint_path = PathOr(v.checkpoint_path, prefix + "checkpoint/");
  options.output_path = PathOr(v.output_path, prefix + "tensorboard/");
  options.model_path = PathOr(v.model_path, prefix + "model/");
  options.from_scratch = v.mode == "train_from_scratch" || !v.resume_from_checkpoint;
  return options;
}

int ThreadCount(int threads_flag) {
  if (threads_flag > 0) return threads_flag;
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set);
  return 1;
}

}  // namespace capstan
