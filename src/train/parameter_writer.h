// A snapshot's parameters into a bundle; their names are in parameter_names.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "formats/tensor_bundle_writer.h"
#include "model/model.h"
#include "params/snapshot.h"

namespace capstan {

// Rows that a bundle gets for each table: at least one.
std::vector<int64_t> WrittenRows(const Snapshot& snapshot, size_t tables);

// Streams everything; memory does not depend on the tables' sizes. Without `for_training` only
// weights and keys, as exports have them.
Status WriteParameters(const Model& model, bool for_training, Snapshot* snapshot,
                       TensorBundleWriter* writer);

}  // namespace capstan
