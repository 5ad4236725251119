// One number for the content of a checkpoint: equal for equal tensors, however they are stored.
#pragma once

#include <string>

#include "base/status.h"
#include "formats/tensor_bundle_reader.h"

namespace capstan {

// 128 bits in hex over name, dtype, shape and values of all tensors, sorted by name; the order in
// the files, shards and partitions do not count. The order of a table's rows does not count either:
//
//   a table is a tensor NAME-keys of rank 1 (int64 or string); its row-aligned companions are the
//   tensors NAME-… and NAME/… whose first dimension is the number of keys (the longest NAME that
//   fits decides). Keys and companions are digested with their rows sorted by key.
//
// Tensors are held in memory one at a time, beside the keys of one table.
StatusOr<std::string> DigestBundle(const TensorBundleReader& reader);

}  // namespace capstan
