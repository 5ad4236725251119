// Small pieces that both models share about the memory of a slice.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include "model/model.h"
#include "tensor/aligned_vector.h"
#include "tensor/bfloat16.h"
#include "tensor/vector_ops.h"

namespace capstan {

// A matrix [max_rows, stride] of floats or, where half, of bfloat16: an input of an MlpRun.
class LayerInput {
 public:
  LayerInput() = default;
  LayerInput(int max_rows, int stride, bool half)
      : max_rows_(max_rows),
        stride_(stride),
        half_(half),
        floats_(half ? 0 : static_cast<size_t>(max_rows) * stride),
        halves_(half ? static_cast<size_t>(max_rows) * stride : 0) {}

  int stride() const { return stride_; }
  bool half() const { return half_; }
  float* floats() { return floats_.data(); }
  Bfloat16* halves() { return halves_.data(); }
  const void* data() const {
    return half_ ? static_cast<const void*>(halves_.data()) : floats_.data();
  }

  // Row `row`, from `column` on, = values.
  void Put(int row, int column, std::span<const float> values) {
    const size_t at = static_cast<size_t>(row) * stride_ + column;
    if (half_) {
      FloatsToBfloat16(values.data(), static_cast<int64_t>(values.size()), halves_.data() + at);
    } else {
      std::copy(values.begin(), values.end(), floats_.data() + at);
    }
  }
  // Rows from `first` on are zeros.
  void ClearFrom(int first) {
    const size_t at = static_cast<size_t>(first) * stride_;
    if (half_) {
      std::fill(halves_.begin() + at, halves_.end(), Bfloat16{0});
    } else {
      std::fill(floats_.begin() + at, floats_.end(), 0.0f);
    }
  }

 private:
  int max_rows_ = 0, stride_ = 0;
  bool half_ = false;
  AlignedVector<float> floats_;
  AlignedVector<Bfloat16> halves_;
};

// Zeros in the gaps between the variables of the flat gradient.
inline void ClearGaps(const std::vector<DenseSpec>& variables, int64_t dense_size,
                      float* dense_gradient) {
  for (size_t i = 0; i < variables.size(); ++i) {
    const int64_t end = i + 1 < variables.size() ? variables[i + 1].offset : dense_size;
    const int64_t used = variables[i].offset + ElementCount(variables[i].shape);
    std::fill(dense_gradient + used, dense_gradient + end, 0.0f);
  }
}

}  // namespace capstan
