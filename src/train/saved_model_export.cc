#include "train/saved_model_export.h"

#include "formats/saved_model.h"
#include "formats/tensor_bundle_writer.h"
#include "model/graph_export.h"
#include "model/model_file.h"
#include "tensorflow/meta_graph.pb.h"
#include "train/model_state.h"
#include "train/parameter_writer.h"

namespace capstan {
namespace {

// Not a number: servers that watch the folder do not see it.
constexpr char kBesidePrefix[] = "capstan-export-";

Status RemoveLeftovers(FileSystem& fs, const std::string& base) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(base));
  for (const std::string& name : names) {
    if (name.starts_with(kBesidePrefix)) RETURN_IF_ERROR(fs.RemoveTree(JoinPath(base, name)));
  }
  return OkStatus();
}

Status WriteFiles(FileSystem& fs, const std::string& folder, const Model& model,
                  Snapshot* snapshot) {
  for (const char* name : {"variables", "assets.extra"}) {
    RETURN_IF_ERROR(fs.CreateFolder(JoinPath(folder, name)));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                   TensorBundleWriter::Create(fs, SavedModelVariablesPrefix(folder)));
  RETURN_IF_ERROR(WriteParameters(model.tables(), model.dense_variables(), {.for_training = false},
                                  snapshot, writer.get()));
  RETURN_IF_ERROR(writer->Finish());
  RETURN_IF_ERROR(WriteFileAtomically(fs, JoinPath(folder, "assets.extra/capstan_model.yaml"),
                                      ToModelFile(model.spec())));
  ASSIGN_OR_RETURN(const std::unique_ptr<tensorflow::MetaGraphDef> graph,
                   BuildServingGraph(model, WrittenRows(*snapshot, model.tables().size())));
  return WriteSavedModelProto(fs, folder, *graph);
}

}  // namespace

StatusOr<std::string> ExportSavedModel(FileSystem& fs, const std::string& base, const Model& model,
                                       Snapshot* snapshot) {
  RETURN_IF_ERROR(fs.CreateFolder(base));
  RETURN_IF_ERROR(RemoveLeftovers(fs, base));
  ASSIGN_OR_RETURN(const std::vector<int64_t> versions, ListVersions(fs, base));
  const int64_t version = versions.empty() ? 1 : versions.back() + 1;
  const std::string beside = JoinPath(base, fmt::format("{}{}", kBesidePrefix, version));
  const std::string folder = JoinPath(base, std::to_string(version));
  Status status = WriteFiles(fs, beside, model, snapshot);
  if (status.ok()) status = fs.Rename(beside, folder);
  if (!status.ok()) {
    fs.RemoveTree(beside).IgnoreError();
    return Annotate(status, "export to " + base);
  }
  return folder;
}

StatusOr<std::string> ExportCheckpoint(FileSystem& fs, const std::string& checkpoint,
                                       const ModelSpec* spec, const std::string& base,
                                       WorkerPool* pool) {
  ASSIGN_OR_RETURN(const ModelSource source, FindModelSource(fs, checkpoint));
  StatusOr<ModelSpec> carried = ReadCarriedModelSpec(fs, source);
  if (!carried.ok() && absl::IsNotFound(carried.status()) && spec != nullptr) carried = *spec;
  RETURN_IF_ERROR(carried.status());
  ASSIGN_OR_RETURN(ModelState state, LoadModelState(fs, source, *carried, pool));
  ASSIGN_OR_RETURN(std::unique_ptr<Snapshot> snapshot, state.parameters->Cut(0));
  return ExportSavedModel(fs, base, *state.model, snapshot.get());
}

}  // namespace capstan
