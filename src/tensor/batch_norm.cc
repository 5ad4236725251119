#include "tensor/batch_norm.h"

#include <cstdint>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/batch_norm.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {

void MomentsLoop(int rows, int cols, const float* x, int stride, float* mean, float* variance) {
  const float inverse = 1.0f / static_cast<float>(rows);
  ForEach(cols, [&](auto d, size_t c) HWY_ATTR {
    auto sum = hn::Zero(d);
    for (int r = 0; r < rows; ++r) {
      sum = hn::Add(sum, hn::LoadU(d, x + static_cast<int64_t>(r) * stride + c));
    }
    const auto m = hn::Mul(sum, hn::Set(d, inverse));
    auto squares = hn::Zero(d);
    for (int r = 0; r < rows; ++r) {
      const auto delta = hn::Sub(hn::LoadU(d, x + static_cast<int64_t>(r) * stride + c), m);
      squares = hn::MulAdd(delta, delta, squares);
    }
    hn::StoreU(m, d, mean + c);
    hn::StoreU(hn::Mul(squares, hn::Set(d, inverse)), d, variance + c);
  });
}

void NormaliseLoop(int rows, int cols, const float* mean, const float* inverse_stddev, float* x,
                   int stride) {
  for (int r = 0; r < rows; ++r, x += stride) {
    ForEach(cols, [&](auto d, size_t c) HWY_ATTR {
      const auto centred = hn::Sub(hn::LoadU(d, x + c), hn::LoadU(d, mean + c));
      hn::StoreU(hn::Mul(centred, hn::LoadU(d, inverse_stddev + c)), d, x + c);
    });
  }
}

void ScaleAndShiftLoop(int rows, int cols, const float* x, int stride, const float* scale,
                       const float* shift, float* y, int y_stride) {
  for (int r = 0; r < rows; ++r, x += stride, y += y_stride) {
    ForEach(cols, [&](auto d, size_t c) HWY_ATTR {
      hn::StoreU(hn::MulAdd(hn::LoadU(d, x + c), hn::LoadU(d, scale + c), hn::LoadU(d, shift + c)),
                 d, y + c);
    });
  }
}

void GradientLoop(int rows, int cols, const float* normalised, int stride, const float* scale,
                  const float* inverse_stddev, float* dy, int dy_stride, float* dscale,
                  float* dshift) {
  const float inverse = 1.0f / static_cast<float>(rows);
  ForEach(cols, [&](auto d, size_t c) HWY_ATTR {
    auto sum = hn::Zero(d), product = hn::Zero(d);
    for (int r = 0; r < rows; ++r) {
      const auto g = hn::LoadU(d, dy + static_cast<int64_t>(r) * dy_stride + c);
      const auto x = hn::LoadU(d, normalised + static_cast<int64_t>(r) * stride + c);
      sum = hn::Add(sum, g);
      product = hn::MulAdd(g, x, product);
    }
    hn::StoreU(product, d, dscale + c);
    hn::StoreU(sum, d, dshift + c);
    const auto factor = hn::Mul(hn::LoadU(d, scale + c), hn::LoadU(d, inverse_stddev + c));
    const auto mean_g = hn::Mul(sum, hn::Set(d, inverse));
    const auto mean_product = hn::Mul(product, hn::Set(d, inverse));
    for (int r = 0; r < rows; ++r) {
      float* g = dy + static_cast<int64_t>(r) * dy_stride + c;
      const auto x = hn::LoadU(d, normalised + static_cast<int64_t>(r) * stride + c);
      const auto centred = hn::Sub(hn::LoadU(d, g), mean_g);
      hn::StoreU(hn::Mul(factor, hn::NegMulAdd(x, mean_product, centred)), d, g);
    }
  });
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace capstan {

HWY_EXPORT(MomentsLoop);
HWY_EXPORT(NormaliseLoop);
HWY_EXPORT(ScaleAndShiftLoop);
HWY_EXPORT(GradientLoop);

void ColumnMoments(int rows, int cols, const float* x, int stride, float* mean, float* variance) {
  HWY_DYNAMIC_DISPATCH(MomentsLoop)(rows, cols, x, stride, mean, variance);
}
void Normalise(int rows, int cols, const float* mean, const float* inverse_stddev, float* x,
               int stride) {
  HWY_DYNAMIC_DISPATCH(NormaliseLoop)(rows, cols, mean, inverse_stddev, x, stride);
}
void ScaleAndShift(int rows, int cols, const float* x, int stride, const float* scale,
                   const float* shift, float* y, int y_stride) {
  HWY_DYNAMIC_DISPATCH(ScaleAndShiftLoop)(rows, cols, x, stride, scale, shift, y, y_stride);
}
void BatchNormGradient(int rows, int cols, const float* normalised, int stride, const float* scale,
                       const float* inverse_stddev, float* dy, int dy_stride, float* dscale,
                       float* dshift) {
  HWY_DYNAMIC_DISPATCH(GradientLoop)
  (rows, cols, normalised, stride, scale, inverse_stddev, dy, dy_stride, dscale, dshift);
}

}  // namespace capstan
#endif  // HWY_ONCE
