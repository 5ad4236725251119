// From gradients per example to gradients per distinct row, in one fixed order of additions.
#pragma once

#include <span>
#include <vector>

#include "model/model.h"

namespace capstan {

// What Model::Step left for one slice.
struct SliceGradients {
  int begin = 0, end = 0;          // examples of the batch
  const float* dlogits = nullptr;  // [end - begin, OutputCount]
  const float* pooled = nullptr;   // [end - begin, pooled_width]
};

// Sums of table `table`: out [distinct keys, gradient_dim], overwritten. Within a slice in the
// order of examples, features and values, then slice by slice: so the same bits for any number of
// threads and for partial sums that come from elsewhere. `scratch` is the caller's, one per thread,
// empty at first and not touched by others: it is all zeros between calls.
void MergeRowGradients(const Model& model, int table, const Batch& batch, const BatchRows& rows,
                       std::span<const SliceGradients> slices, int64_t distinct_keys,
                       std::vector<float>* scratch, std::span<float> out);

}  // namespace capstan
