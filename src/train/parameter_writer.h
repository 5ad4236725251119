// A snapshot's parameters into a bundle; their names are in parameter_names.h.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "formats/tensor_bundle_writer.h"
#include "params/snapshot.h"
#include "params/table_spec.h"

namespace capstan {

// Rows that a bundle gets for each table: at least one.
std::vector<int64_t> WrittenRows(const Snapshot& snapshot, size_t tables);

struct WriteParametersOptions {
  bool for_training = true;  // else only weights and keys, as exports have them
  // One server's part of a cluster's checkpoint: tables without rows stay empty.
  bool is_part = false;
};

// Streams everything; memory does not depend on the tables' sizes. Specs as the snapshot's
// parameters have them.
Status WriteParameters(const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& dense,
                       const WriteParametersOptions& options, Snapshot* snapshot,
                       TensorBundleWriter* writer);

}  // namespace capstan
