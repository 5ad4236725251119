// One checkpoint: the parameters and everything else that a run needs to go on as if never stopped.
//
//   PREFIX.index, PREFIX.data-00000-of-00001   tensors: parameters; global_step; beta1_power,
//   beta2_power
//                                              (Adam); and ours, capstan/…: format_version,
//                                              model_file, input_position, best_validation
//   PREFIX.meta                                TensorFlow's graph to import and restore into
#pragma once

#include <cstdint>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "data/input_position.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "model/model.h"
#include "params/local_parameters.h"
#include "params/snapshot.h"

namespace capstan {

// What a checkpoint holds beside the parameters.
struct RunState {
  int64_t step = 0;
  InputPosition position;
  double best_validation = 0;  // of the run so far; NaN: none
  int64_t examples = 0;        // trained so far, each time that it was
};

// Writes all files, the index last. `graph_path`: also the graph as text, unless it is "" or there
// already.
Status WriteCheckpoint(FileSystem& fs, const std::string& prefix, const std::string& graph_path,
                       const Model& model, const RunState& run, Snapshot* snapshot);

// Its pieces, for clusters, whose servers write the parameters: the run's own tensors …
Status WriteRunState(const ModelSpec& spec, const RunState& run, TensorBundleWriter* writer);
// … PREFIX.meta, and the graph as text if `graph_path` names a file that is not there yet.
Status WriteGraphs(FileSystem& fs, const std::string& prefix, const std::string& graph_path,
                   const Model& model);

// The model file in a checkpoint of ours; kNotFound in others'.
StatusOr<std::string> ReadCheckpointModelFile(FileSystem& fs, const std::string& prefix);

StatusOr<RunState> ReadRunState(const TensorBundleReader& reader);

// Everything, into new parameters of the same model.
StatusOr<RunState> RestoreCheckpoint(FileSystem& fs, const std::string& prefix,
                                     LocalParameters* parameters);

}  // namespace capstan
