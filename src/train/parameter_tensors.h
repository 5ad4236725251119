// Parameters as tensors of a bundle, in checkpoints and exports. docs/formats/checkpoint.md lists
// the names.
//
//   dense variable V          V [shape], slots V/Adagrad …
//   table T with dense_size   its parts P [dense_size, dim], slots P/Adagrad …
//   table T with keys         T-keys int64 [N], T-freqs int64 [N], T-versions int64 [N] (last step
//   seen),
//                             parts P [N, dim] (T/wide, T/embedding), slots;
//                             T/filtered-keys, T/filtered-freqs, T/filtered-versions: seen, not
//                             admitted
//
// A table without rows is written as one row of zeros with key 0 and version -1, which reading
// leaves out.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "model/model.h"
#include "params/local_parameters.h"
#include "params/snapshot.h"

namespace capstan {

// Rows that a bundle gets for each table: at least one.
std::vector<int64_t> WrittenRows(const Snapshot& snapshot, size_t tables);

// Streams everything; memory does not depend on the tables' sizes. Without `for_training` only
// weights and keys, as exports have them.
Status WriteParameters(const Model& model, bool for_training, Snapshot* snapshot,
                       TensorBundleWriter* writer);

struct ReadParametersOptions {
  // Slots, counters and filtered keys too: the bundle is a checkpoint to go on from.
  bool for_training = true;
  // Our variable's name → the bundle's; null: the same. "": leave the variable as it is.
  std::function<std::string(const std::string&)> name_of;
};

// Into parameters that nothing has been trained on. A missing tensor, another dtype or shape is an
// error that names it. A bundle that has a table's part but no keys for it (an embedding of
// TensorFlow's own, [ids, dim]) gives its row numbers as keys.
Status ReadParameters(const TensorBundleReader& reader, const ReadParametersOptions& options,
                      LocalParameters* parameters);

}  // namespace capstan
