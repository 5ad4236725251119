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

#include "params/table_spec.h"
#include "tensor/dtype.h"

namespace capstan {

// The version of the row that stands for an empty table.
constexpr int64_t kAbsentVersion = -1;

// Of a dense variable's slots: row-wise ones lack the last dimension.
inline Shape SlotShape(const DenseSpec& variable) {
  Shape shape = variable.shape;
  if (IsRowWise(variable.optimizer.kind) && !shape.empty()) shape.pop_back();
  return shape;
}

}  // namespace capstan
