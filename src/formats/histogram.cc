#include "formats/histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace capstan {
namespace {

std::vector<double> BucketLimits() {
  constexpr double kLargest = std::numeric_limits<double>::max();
  std::vector<double> positive;
  for (double limit = 1e-12; limit < 1e20; limit *= 1.1) positive.push_back(limit);
  positive.push_back(kLargest);
  std::vector<double> limits;
  for (auto limit = positive.rbegin(); limit != positive.rend(); ++limit) limits.push_back(-*limit);
  limits.push_back(0);
  limits.insert(limits.end(), positive.begin(), positive.end());
  return limits;
}

}  // namespace

Histogram MakeHistogram(std::span<const float> values) {
  const std::vector<double> limits = BucketLimits();
  std::vector<double> counts(limits.size(), 0);
  Histogram histogram;
  for (const float value : values) {
    if (!std::isfinite(value)) continue;
    const bool first = histogram.count == 0;
    histogram.min = first ? value : std::min<double>(histogram.min, value);
    histogram.max = first ? value : std::max<double>(histogram.max, value);
    histogram.count += 1;
    histogram.sum += value;
    histogram.sum_of_squares += static_cast<double>(value) * value;
    counts[std::upper_bound(limits.begin(), limits.end(), value) - limits.begin()] += 1;
  }
  for (size_t i = 0; i < limits.size(); ++i) {
    const bool joins =
        counts[i] == 0 && !histogram.buckets.empty() && histogram.buckets.back().count == 0;
    if (joins) histogram.buckets.pop_back();
    histogram.buckets.push_back({limits[i], counts[i]});
  }
  return histogram;
}

}  // namespace capstan
