#include "data/float_transform.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace capstan {
namespace {

// log(u) for 1 <= u: u = m × 2^e with m in [sqrt(1/2), sqrt(2)), log m = 2 artanh((m-1)/(m+1)).
// The series ends at s^9; the next term is below 2^-29 of the result. No branches, so that the loop
// below works on four values at once.
inline float LogPlus1(float x) {
  const float clamped = x > 0.0f ? x : 0.0f;
  const float u = 1.0f + clamped;
  const uint32_t bits = std::bit_cast<uint32_t>(u);
  constexpr uint32_t kSqrtHalf = 0x3f3504f3;
  const uint32_t shifted = bits - kSqrtHalf;
  const auto e = static_cast<float>(static_cast<int32_t>(shifted) >> 23);
  const float m = std::bit_cast<float>((shifted & 0x007fffffu) + kSqrtHalf);
  const float f = m - 1.0f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  const float tail = z * (1.0f / 3 + z * (1.0f / 5 + z * (1.0f / 7 + z * (1.0f / 9))));
  constexpr float kLn2High = 0.693145752f;  // 12 bits: e × kLn2High is exact
  constexpr float kLn2Low = 1.42860677e-6f;
  // log m = 2s + 2s·tail = f - s·f + 2s·tail; what the sum 1 + x lost comes back as its derivative.
  const float lost = (clamped - (u - 1.0f)) / u;
  const float low = (2.0f * s * tail - s * f) + (lost + e * kLn2Low);
  return e * kLn2High + (f + low);
}

}  // namespace

void Log1pInPlace(std::span<float> values) {
  float* const p = values.data();
  const size_t n = values.size();
  for (size_t i = 0; i < n; ++i) p[i] = LogPlus1(p[i]);
}

FloatTransform::FloatTransform(const InputSpec& spec) : width_(DenseWidth(spec)) {
  mean_.assign(width_, 0.0f);
  stddev_.assign(width_, 1.0f);
  size_t offset = 0;
  for (const FeatureSpec& feature : spec.features) {
    if (IsCategorical(feature)) continue;
    for (int i = 0; i < feature.length; ++i) {
      if (feature.log1p) log1p_columns_.push_back(offset + i);
      if (!feature.standardise) continue;
      any_standardise_ = true;
      mean_[offset + i] = feature.mean[i];
      stddev_[offset + i] = feature.stddev[i];
    }
    offset += feature.length;
  }
  any_log1p_ = !log1p_columns_.empty();
  all_log1p_ = log1p_columns_.size() == width_;
}

void FloatTransform::Apply(size_t rows, float* dense) const {
  if (all_log1p_) {
    Log1pInPlace({dense, rows * width_});
  } else if (any_log1p_) {
    // Gathered into blocks, so that the loop stays one of whole vectors.
    float block[256];
    for (const size_t column : log1p_columns_) {
      for (size_t begin = 0; begin < rows; begin += 256) {
        const size_t n = std::min<size_t>(256, rows - begin);
        float* const first = dense + begin * width_ + column;
        for (size_t i = 0; i < n; ++i) block[i] = first[i * width_];
        Log1pInPlace({block, n});
        for (size_t i = 0; i < n; ++i) first[i * width_] = block[i];
      }
    }
  }
  if (!any_standardise_) return;
  const float* const mean = mean_.data();
  const float* const stddev = stddev_.data();
  for (size_t row = 0; row < rows; ++row) {
    float* const x = dense + row * width_;
    for (size_t i = 0; i < width_; ++i) x[i] = (x[i] - mean[i]) / stddev[i];
  }
}

}  // namespace capstan
