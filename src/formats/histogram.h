// Histograms as TensorBoard shows them: buckets whose limits grow by a tenth.
#pragma once

#include <span>
#include <vector>

namespace capstan {

// Values below `limit` and not below the limit of the bucket before.
struct HistogramBucket {
  double limit = 0;
  double count = 0;
};

struct Histogram {
  double min = 0;
  double max = 0;
  double count = 0;
  double sum = 0;
  double sum_of_squares = 0;
  std::vector<HistogramBucket> buckets;  // empty ones in a row are one
};

// TensorFlow's limits: 0, ±1e-12 × 1.1^n below 1e20, ± the largest double. Values that are NaN or
// infinite are left out.
Histogram MakeHistogram(std::span<const float> values);

}  // namespace capstan
