// Mean and standard deviation of float features.
#include <algorithm>
#include <cmath>

#include "data/batch_stream.h"

namespace capstan {
namespace {

// Welford's running mean and sum of squared distances: no loss of digits at large means.
struct Moments {
  double mean = 0;
  double squares = 0;

  void Add(double x, int64_t count) {
    const double distance = x - mean;
    mean += distance / static_cast<double>(count);
    squares += distance * (x - mean);
  }
};

bool IsUnmeasured(const FeatureSpec& feature) {
  return !IsCategorical(feature) && feature.standardise && feature.mean.empty();
}

}  // namespace

Status MeasureStandardisation(FileSystem& fs, const BatchStreamOptions& options,
                              int64_t max_examples, InputSpec* spec) {
  if (std::none_of(spec->features.begin(), spec->features.end(), IsUnmeasured)) return OkStatus();
  InputSpec measured = *spec;
  for (FeatureSpec& feature : measured.features) feature.standardise = false;

  BatchStreamOptions in_order = options;
  in_order.shuffle_block = 0;
  in_order.epochs = 1;
  ASSIGN_OR_RETURN(auto stream, BatchStream::Open(fs, measured, in_order, InputPosition()));
  const auto width = static_cast<size_t>(DenseWidth(measured));
  std::vector<Moments> moments(width);
  int64_t count = 0;
  std::unique_ptr<Batch> batch;
  while (count < max_examples) {
    ASSIGN_OR_RETURN(const bool more, stream->Next(&batch));
    if (!more) break;
    const int64_t rows = std::min<int64_t>(batch->size, max_examples - count);
    for (int64_t row = 0; row < rows; ++row) {
      ++count;
      const float* const x = batch->dense.data() + row * width;
      for (size_t i = 0; i < width; ++i) moments[i].Add(x[i], count);
    }
  }
  if (count == 0) return Error("measure features: the files have no good records");

  size_t offset = 0;
  for (FeatureSpec& feature : spec->features) {
    if (IsCategorical(feature)) continue;
    if (IsUnmeasured(feature)) {
      feature.stddev.clear();
      for (int i = 0; i < feature.length; ++i) {
        const Moments& m = moments[offset + i];
        const double deviation = std::sqrt(m.squares / static_cast<double>(count));
        feature.mean.push_back(static_cast<float>(m.mean));
        feature.stddev.push_back(deviation > 1e-12 * std::abs(m.mean) && deviation > 0
                                     ? static_cast<float>(deviation)
                                     : 1.0f);
      }
    }
    offset += feature.length;
  }
  return OkStatus();
}

}  // namespace capstan
