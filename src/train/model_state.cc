#include "train/model_state.h"

#include <limits>
#include <map>
#include <set>
#include <sstream>

#include "base/nearest.h"
#include "formats/checkpoint_state.h"
#include "formats/saved_model.h"
#include "formats/tensor_bundle_reader.h"
#include "model/model_file.h"
#include "train/checkpoint_file.h"
#include "train/parameter_reader.h"

namespace capstan {
namespace {

std::string CarriedModelFilePath(const std::string& folder) {
  return JoinPath(folder, "assets.extra/capstan_model.yaml");
}

StatusOr<std::map<std::string, std::string>> ParseNameMap(const std::string& text) {
  std::map<std::string, std::string> names;
  std::istringstream stream(text);
  std::string pair;
  while (std::getline(stream, pair, ',')) {
    const size_t equals = pair.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Error("flag --warm_start_map: found '{}', wanted ours=theirs", pair);
    }
    names[pair.substr(0, equals)] = pair.substr(equals + 1);
  }
  return names;
}

}  // namespace

StatusOr<ModelSpec> ReadModelFile(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path, 64 << 20));
  return ParseModelFile(text, path);
}

StatusOr<ModelState> NewModelState(const ModelSpec& spec, WorkerPool* pool) {
  ModelState state;
  ASSIGN_OR_RETURN(state.model, NewModel(spec));
  ASSIGN_OR_RETURN(state.parameters,
                   LocalParameters::Create(state.model->tables(), state.model->dense_variables(),
                                           spec.seed, pool));
  // Tables of a known size have all their rows from the beginning, in the order of their ids: a
  // checkpoint streams them as one dense variable.
  for (size_t t = 0; t < state.model->tables().size(); ++t) {
    const int64_t size = state.model->tables()[t].dense_size;
    for (int64_t id = 0; id < size; ++id) {
      RETURN_IF_ERROR(state.parameters->table(static_cast<int>(t))
                          .Insert(static_cast<uint64_t>(id), 0, 0)
                          .status());
    }
  }
  state.best_validation = std::numeric_limits<double>::quiet_NaN();
  return state;
}

StatusOr<ModelSource> FindModelSource(FileSystem& fs, const std::string& path) {
  ModelSource source;
  if (fs.Exists(path + ".index")) {
    source.prefix = path;
    return source;
  }
  if (!fs.IsFolder(path)) {
    return NotFoundError("open {}: no SavedModel, folder of checkpoints or checkpoint prefix",
                         path);
  }
  const StatusOr<std::string> checkpoint = LatestCheckpoint(fs, path);
  if (checkpoint.ok()) {
    source.prefix = *checkpoint;
    return source;
  }
  StatusOr<std::string> saved_model = ResolveSavedModel(fs, path);
  if (!saved_model.ok()) {
    return NotFoundError("open {}: neither a SavedModel ({}) nor checkpoints ({})", path,
                         Message(saved_model.status()), Message(checkpoint.status()));
  }
  source.saved_model = true;
  source.folder = *std::move(saved_model);
  source.prefix = SavedModelVariablesPrefix(source.folder);
  return source;
}

StatusOr<ModelSpec> ReadCarriedModelSpec(FileSystem& fs, const ModelSource& source) {
  if (!source.saved_model) {
    ASSIGN_OR_RETURN(const std::string text, ReadCheckpointModelFile(fs, source.prefix));
    return ParseModelFile(text, source.prefix + " (capstan/model_file)");
  }
  const std::string path = CarriedModelFilePath(source.folder);
  if (!fs.Exists(path)) {
    return NotFoundError(
        "SavedModel {} was not exported by capstan: it has no assets.extra/capstan_model.yaml; "
        "describe it in a --model_file",
        source.folder);
  }
  return ReadModelFile(fs, path);
}

StatusOr<ModelState> LoadModelState(FileSystem& fs, const ModelSource& source,
                                    const ModelSpec& spec, WorkerPool* pool) {
  ASSIGN_OR_RETURN(ModelState state, NewModelState(spec, pool));
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, source.prefix));
  ReadParametersOptions options;
  options.for_training = false;
  RETURN_IF_ERROR(ReadParameters(*reader, options, state.parameters.get()));
  return state;
}

Status WarmStart(FileSystem& fs, const std::string& path, const std::string& name_map,
                 ModelState* state) {
  ASSIGN_OR_RETURN(const ModelSource source, FindModelSource(fs, path));
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, source.prefix));
  ASSIGN_OR_RETURN(const auto names, ParseNameMap(name_map));
  ReadParametersOptions options;
  options.for_training = false;
  std::set<std::string> asked;
  options.name_of = [&](const std::string& ours) {
    asked.insert(ours);
    const auto it = names.find(ours);
    return it == names.end() ? ours : it->second;
  };
  RETURN_IF_ERROR(
      Annotate(ReadParameters(*reader, options, state->parameters.get()), "warm start"));
  for (const auto& [ours, theirs] : names) {
    if (asked.contains(ours)) continue;
    const std::vector<std::string> known(asked.begin(), asked.end());
    return Error("flag --warm_start_map: the model has no variable '{}'{}", ours,
                 NearestHint(ours, known));
  }
  return OkStatus();
}

Status AdoptMeasuredFeatures(FileSystem& fs, const std::string& prefix, ModelSpec* spec) {
  ASSIGN_OR_RETURN(const std::string text, ReadCheckpointModelFile(fs, prefix));
  ASSIGN_OR_RETURN(const ModelSpec carried, ParseModelFile(text, prefix + " (capstan/model_file)"));
  for (FeatureSpec& feature : spec->input.features) {
    if (!feature.standardise || !feature.mean.empty()) continue;
    for (const FeatureSpec& old : carried.input.features) {
      if (old.name != feature.name || old.length != feature.length) continue;
      feature.mean = old.mean;
      feature.stddev = old.stddev;
    }
  }
  return OkStatus();
}

}  // namespace capstan
