// A model with its parameters, new or from files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "data/input_position.h"
#include "model/model.h"
#include "model/model_spec.h"
#include "params/local_parameters.h"

namespace capstan {

struct ModelState {
  std::unique_ptr<Model> model;
  std::unique_ptr<LocalParameters> parameters;  // uses the model's specs by value
  int64_t step = 0;
  InputPosition position;
  double best_validation = 0;  // NaN: none yet
  int64_t examples = 0;        // trained so far
};

StatusOr<ModelSpec> ReadModelFile(FileSystem& fs, const std::string& path);

// Everything at its initial value. `pool` must outlive the state.
StatusOr<ModelState> NewModelState(const ModelSpec& spec, WorkerPool* pool);

// Where a model can be loaded from, found by looking.
struct ModelSource {
  bool saved_model = false;
  std::string folder;  // of the SavedModel
  std::string prefix;  // of the bundle with the weights
};
// A SavedModel folder, a folder of versions, a folder of checkpoints, or a checkpoint's prefix.
StatusOr<ModelSource> FindModelSource(FileSystem& fs, const std::string& path);

// The model file that a checkpoint or an export of ours carries; kNotFound for others'.
StatusOr<ModelSpec> ReadCarriedModelSpec(FileSystem& fs, const ModelSource& source);

// For evaluation, prediction and export: the model as the source describes it (or as `spec` does,
// when the source is not ours) with its weights; optimizer slots are left at their initial values.
StatusOr<ModelState> LoadModelState(FileSystem& fs, const ModelSource& source,
                                    const ModelSpec& spec, WorkerPool* pool);

// First weights of a new state from another checkpoint or SavedModel, TensorFlow's too. `name_map`:
// "ours=theirs,…", names that are not in it are the same there; "ours=" leaves a variable as it is.
// Slots begin anew.
Status WarmStart(FileSystem& fs, const std::string& path, const std::string& name_map,
                 ModelState* state);

// A run that goes on from a checkpoint keeps the means and standard deviations that were measured
// when it began.
Status AdoptMeasuredFeatures(FileSystem& fs, const std::string& prefix, ModelSpec* spec);

}  // namespace capstan
