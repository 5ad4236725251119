// The transforms of kFloat features, on whole batches.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "data/feature_spec.h"

namespace capstan {

// log(1 + max(x, 0)) of each value in place; within 2 units in the last place of the exact value.
void Log1pInPlace(std::span<float> values);

// log1p, then (x - mean) / stddev, of those columns of a [rows, DenseWidth] matrix that ask for it.
class FloatTransform {
 public:
  // Features that standardise must have their mean and stddev.
  explicit FloatTransform(const InputSpec& spec);

  void Apply(size_t rows, float* dense) const;

 private:
  size_t width_ = 0;
  bool any_log1p_ = false, all_log1p_ = false, any_standardise_ = false;
  std::vector<size_t> log1p_columns_;
  std::vector<float> mean_, stddev_;  // [width], 0 and 1 where nothing is asked for
};

}  // namespace capstan
