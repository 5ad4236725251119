#include "train/checkpoint_file.h"

#include <google/protobuf/text_format.h>

#include <cmath>
#include <cstring>

#include "formats/saved_model.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "model/graph_export.h"
#include "model/model_file.h"
#include "tensorflow/meta_graph.pb.h"
#include "train/parameter_reader.h"
#include "train/parameter_writer.h"

namespace capstan {
namespace {

constexpr int64_t kFormatVersion = 1;

constexpr char kFormatVersionName[] = "capstan/format_version";
constexpr char kModelFileName[] = "capstan/model_file";
constexpr char kPositionName[] = "capstan/input_position";
constexpr char kBestName[] = "capstan/best_validation";
constexpr char kExamplesName[] = "capstan/examples";
constexpr char kStepName[] = "global_step";

std::vector<int64_t> ToInts(const InputPosition& p) {
  return {p.epoch, p.block, p.batch, p.example, p.file, p.record, p.offset};
}

StatusOr<InputPosition> ToPosition(const std::vector<int64_t>& v, const std::string& prefix) {
  if (v.size() != kInputPositionFields) {
    return Error("checkpoint {}: {} has {} numbers, wanted {}", prefix, kPositionName, v.size(),
                 kInputPositionFields);
  }
  for (const int64_t number : v) {
    if (number < 0) return Error("checkpoint {}: {} has {}", prefix, kPositionName, number);
  }
  return InputPosition{.epoch = v[0],
                       .block = v[1],
                       .batch = v[2],
                       .example = v[3],
                       .file = v[4],
                       .record = v[5],
                       .offset = v[6]};
}

// As tf.compat.v1.train.AdamOptimizer has them after `step` steps.
Status WriteBetaPowers(const ModelSpec& spec, int64_t step, TensorBundleWriter* writer) {
  for (const OptimizerSpec* optimizer : {&spec.deep_optimizer, &spec.wide_optimizer}) {
    if (optimizer->kind != OptimizerKind::kAdam) continue;
    const auto power = [&](float beta) {
      return static_cast<float>(std::pow(static_cast<double>(beta), step + 1));
    };
    const float beta1_power = power(optimizer->beta1), beta2_power = power(optimizer->beta2);
    RETURN_IF_ERROR(writer->AddFloats("beta1_power", {}, {&beta1_power, 1}));
    return writer->AddFloats("beta2_power", {}, {&beta2_power, 1});
  }
  return OkStatus();
}

}  // namespace

Status WriteRunState(const ModelSpec& spec, const RunState& run, TensorBundleWriter* writer) {
  RETURN_IF_ERROR(writer->AddInts(kStepName, {}, {&run.step, 1}));
  RETURN_IF_ERROR(WriteBetaPowers(spec, run.step, writer));
  RETURN_IF_ERROR(writer->AddInts(kFormatVersionName, {}, {&kFormatVersion, 1}));
  const std::string model_file = ToModelFile(spec);
  RETURN_IF_ERROR(writer->AddStrings(kModelFileName, {}, {&model_file, 1}));
  const std::vector<int64_t> position = ToInts(run.position);
  RETURN_IF_ERROR(writer->AddInts(kPositionName, {kInputPositionFields}, position));
  RETURN_IF_ERROR(writer->AddInts(kExamplesName, {}, {&run.examples, 1}));
  const std::string_view best(reinterpret_cast<const char*>(&run.best_validation),
                              sizeof(run.best_validation));
  return writer->Add(kBestName, DType::kDouble, {}, best);
}

Status WriteGraphs(FileSystem& fs, const std::string& prefix, const std::string& graph_path,
                   const Model& model) {
  ASSIGN_OR_RETURN(const std::unique_ptr<tensorflow::MetaGraphDef> meta_graph,
                   BuildCheckpointGraph(model));
  ASSIGN_OR_RETURN(const std::string bytes, SerializeDeterministically(*meta_graph));
  RETURN_IF_ERROR(WriteFileAtomically(fs, prefix + ".meta", bytes));
  if (graph_path.empty() || fs.Exists(graph_path)) return OkStatus();
  std::string text;
  if (!google::protobuf::TextFormat::PrintToString(meta_graph->graph_def(), &text)) {
    return Error("write {}: the graph has no text form", graph_path);
  }
  return WriteFileAtomically(fs, graph_path, text);
}

Status WriteCheckpoint(FileSystem& fs, const std::string& prefix, const std::string& graph_path,
                       const Model& model, const RunState& run, Snapshot* snapshot) {
  ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                   TensorBundleWriter::Create(fs, prefix));
  RETURN_IF_ERROR(WriteRunState(model.spec(), run, writer.get()));
  RETURN_IF_ERROR(
      WriteParameters(model.tables(), model.dense_variables(), {}, snapshot, writer.get()));
  const bool had_meta = fs.Exists(prefix + ".meta");
  Status status = WriteGraphs(fs, prefix, graph_path, model);
  if (status.ok()) status = writer->Finish();
  if (!status.ok() && !had_meta) fs.Remove(prefix + ".meta").IgnoreError();
  return status;
}

StatusOr<std::string> ReadCheckpointModelFile(FileSystem& fs, const std::string& prefix) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, prefix));
  if (reader->Find(kModelFileName) == nullptr) {
    return NotFoundError("checkpoint {} was not written by capstan: it has no tensor {}", prefix,
                         kModelFileName);
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> text, reader->ReadStrings(kModelFileName));
  if (text.size() != 1) return Error("checkpoint {}: {} is no scalar", prefix, kModelFileName);
  return text[0];
}

StatusOr<RunState> ReadRunState(const TensorBundleReader& reader) {
  RunState run;
  ASSIGN_OR_RETURN(const std::vector<int64_t> step, reader.ReadInts(kStepName));
  ASSIGN_OR_RETURN(const std::vector<int64_t> version, reader.ReadInts(kFormatVersionName));
  ASSIGN_OR_RETURN(const std::vector<int64_t> position, reader.ReadInts(kPositionName));
  if (step.size() != 1 || version.size() != 1 || step[0] < 0) {
    return Error("checkpoint {}: {} or {} is no scalar", reader.prefix(), kStepName,
                 kFormatVersionName);
  }
  if (version[0] != kFormatVersion) {
    return Error("checkpoint {}: format version {}, this program reads {}", reader.prefix(),
                 version[0], kFormatVersion);
  }
  run.step = step[0];
  ASSIGN_OR_RETURN(run.position, ToPosition(position, reader.prefix()));
  ASSIGN_OR_RETURN(const std::vector<int64_t> examples, reader.ReadInts(kExamplesName));
  if (examples.size() == 1) run.examples = examples[0];
  char best[sizeof(double)];
  RETURN_IF_ERROR(reader.Read(kBestName, best));
  std::memcpy(&run.best_validation, best, sizeof(best));
  return run;
}

StatusOr<RunState> RestoreCheckpoint(FileSystem& fs, const std::string& prefix,
                                     LocalParameters* parameters) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, prefix));
  ASSIGN_OR_RETURN(const RunState run, ReadRunState(*reader));
  RETURN_IF_ERROR(ReadParameters(*reader, ReadParametersOptions(), parameters));
  parameters->SetStep(run.step);
  return run;
}

}  // namespace capstan
