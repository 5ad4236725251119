#include "tensor/vector_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/vector_ops.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {

void FloatsToBfloat16Loop(const float* in, int64_t count, Bfloat16* out) {
  ForEach(count, [&](auto d, size_t i) HWY_ATTR { StoreFloats(hn::LoadU(d, in + i), d, out + i); });
}

void Bfloat16ToFloatsLoop(const Bfloat16* in, int64_t count, float* out) {
  ForEach(count, [&](auto d, size_t i) HWY_ATTR { hn::StoreU(LoadFloats(d, in + i), d, out + i); });
}

void AxpyLoop(float a, const float* x, int64_t count, float* y) {
  ForEach(count, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::MulAdd(hn::Set(d, a), hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  });
}

void AddToLoop(const float* x, int64_t count, float* y) {
  ForEach(count, [&](auto d, size_t i) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, y + i);
  });
}

float DotLoop(const float* x, const float* y, int64_t count) {
  alignas(64) float partial[16] = {};
  const Wide d;
  const size_t lanes = hn::Lanes(d);
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    for (size_t lane = 0; lane < 16; lane += lanes) {
      hn::Store(hn::MulAdd(hn::LoadU(d, x + i + lane), hn::LoadU(d, y + i + lane),
                           hn::Load(d, partial + lane)),
                d, partial + lane);
    }
  }
  const Single single;
  for (int lane = 0; i < count; ++i, ++lane) {
    partial[lane] = hn::GetLane(
        hn::MulAdd(hn::Set(single, x[i]), hn::Set(single, y[i]), hn::Set(single, partial[lane])));
  }
  for (int half = 8; half > 0; half /= 2) {
    for (int lane = 0; lane < half; ++lane) partial[lane] += partial[lane + half];
  }
  return partial[0];
}

void AddBiasLoop(int rows, int cols, const float* bias, float* x, int stride) {
  for (int r = 0; r < rows; ++r) AddToLoop(bias, cols, x + static_cast<int64_t>(r) * stride);
}

template <class T>
HWY_INLINE void ReluRows(int rows, int cols, const float* x, int stride, T* out, int out_stride) {
  for (int r = 0; r < rows; ++r, x += stride, out += out_stride) {
    ForEach(cols, [&](auto d, size_t i) HWY_ATTR {
      StoreFloats(hn::Max(hn::LoadU(d, x + i), hn::Zero(d)), d, out + i);
    });
  }
}
void ReluFloat(int rows, int cols, const float* x, int stride, float* out, int out_stride) {
  ReluRows(rows, cols, x, stride, out, out_stride);
}
void ReluBfloat16(int rows, int cols, const float* x, int stride, Bfloat16* out, int out_stride) {
  ReluRows(rows, cols, x, stride, out, out_stride);
}

// body(d, row, column) gives a vector to add to the column sums; blocks of columns stay in
// registers while all rows pass.
template <class Body>
HWY_INLINE void SumColumns(int rows, int cols, float* sums, const Body& body) {
  const Wide d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  int c = 0;
  for (; c + 4 * lanes <= cols; c += 4 * lanes) {
    auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
    for (int r = 0; r < rows; ++r) {
      s0 = hn::Add(s0, body(d, r, c));
      s1 = hn::Add(s1, body(d, r, c + lanes));
      s2 = hn::Add(s2, body(d, r, c + 2 * lanes));
      s3 = hn::Add(s3, body(d, r, c + 3 * lanes));
    }
    hn::StoreU(s0, d, sums + c);
    hn::StoreU(s1, d, sums + c + lanes);
    hn::StoreU(s2, d, sums + c + 2 * lanes);
    hn::StoreU(s3, d, sums + c + 3 * lanes);
  }
  for (; c + lanes <= cols; c += lanes) {
    auto sum = hn::Zero(d);
    for (int r = 0; r < rows; ++r) sum = hn::Add(sum, body(d, r, c));
    hn::StoreU(sum, d, sums + c);
  }
  const Single single;
  for (; c < cols; ++c) {
    auto sum = hn::Zero(single);
    for (int r = 0; r < rows; ++r) sum = hn::Add(sum, body(single, r, c));
    sums[c] = hn::GetLane(sum);
  }
}

template <class Y, class Out>
HWY_INLINE void ReluGradientRows(int rows, int cols, const float* dy, int dy_stride, const Y* y,
                                 int y_stride, float scale, Out* out, int out_stride, float* sums) {
  SumColumns(rows, cols, sums, [&](auto d, int r, int c) HWY_ATTR {
    const auto gradient =
        hn::Mul(hn::LoadU(d, dy + static_cast<int64_t>(r) * dy_stride + c), hn::Set(d, scale));
    const auto value = LoadFloats(d, y + static_cast<int64_t>(r) * y_stride + c);
    const auto kept = hn::IfThenElseZero(hn::Gt(value, hn::Zero(d)), gradient);
    StoreFloats(kept, d, out + static_cast<int64_t>(r) * out_stride + c);
    return kept;
  });
}
void ReluGradientFloatToFloat(int rows, int cols, const float* dy, int dy_stride, const float* y,
                              int y_stride, float scale, float* out, int out_stride, float* sums) {
  ReluGradientRows(rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradientFloatToBfloat16(int rows, int cols, const float* dy, int dy_stride, const float* y,
                                 int y_stride, float scale, Bfloat16* out, int out_stride,
                                 float* sums) {
  ReluGradientRows(rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradientBfloat16ToFloat(int rows, int cols, const float* dy, int dy_stride,
                                 const Bfloat16* y, int y_stride, float scale, float* out,
                                 int out_stride, float* sums) {
  ReluGradientRows(rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradientBfloat16ToBfloat16(int rows, int cols, const float* dy, int dy_stride,
                                    const Bfloat16* y, int y_stride, float scale, Bfloat16* out,
                                    int out_stride, float* sums) {
  ReluGradientRows(rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}

void ColumnSumsLoop(int rows, int cols, const float* x, int stride, float* sums) {
  SumColumns(rows, cols, sums, [&](auto d, int r, int c) HWY_ATTR {
    return hn::LoadU(d, x + static_cast<int64_t>(r) * stride + c);
  });
}

// Murmur3's finaliser on key + column · golden ratio.
template <class T>
HWY_INLINE void DropElements(uint32_t key, uint32_t threshold, float scale, int cols, T* x) {
  ForEach(cols, [&](auto d, size_t i) HWY_ATTR {
    const hn::Rebind<uint32_t, decltype(d)> d32;
    auto h = hn::Add(hn::Iota(d32, static_cast<uint32_t>(i)), hn::Set(d32, 1));
    h = hn::Add(hn::Mul(h, hn::Set(d32, 0x9e3779b9u)), hn::Set(d32, key));
    h = hn::Mul(hn::Xor(h, hn::ShiftRight<16>(h)), hn::Set(d32, 0x85ebca6bu));
    h = hn::Mul(hn::Xor(h, hn::ShiftRight<13>(h)), hn::Set(d32, 0xc2b2ae35u));
    h = hn::Xor(h, hn::ShiftRight<16>(h));
    // Unsigned h < threshold, as a signed comparison of 31 bits.
    const hn::Rebind<int32_t, decltype(d)> di32;
    const auto dropped = hn::Lt(hn::BitCast(di32, hn::ShiftRight<1>(h)),
                                hn::Set(di32, static_cast<int32_t>(threshold >> 1)));
    const auto value = hn::Mul(LoadFloats(d, x + i), hn::Set(d, scale));
    StoreFloats(hn::IfThenZeroElse(hn::RebindMask(d, dropped), value), d, x + i);
  });
}
void DropFloat(uint32_t key, uint32_t threshold, float scale, int cols, float* x) {
  DropElements(key, threshold, scale, cols, x);
}
void DropBfloat16(uint32_t key, uint32_t threshold, float scale, int cols, Bfloat16* x) {
  DropElements(key, threshold, scale, cols, x);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace capstan {

HWY_EXPORT(FloatsToBfloat16Loop);
HWY_EXPORT(Bfloat16ToFloatsLoop);
HWY_EXPORT(AxpyLoop);
HWY_EXPORT(AddToLoop);
HWY_EXPORT(DotLoop);
HWY_EXPORT(AddBiasLoop);
HWY_EXPORT(ReluFloat);
HWY_EXPORT(ReluBfloat16);
HWY_EXPORT(ReluGradientFloatToFloat);
HWY_EXPORT(ReluGradientFloatToBfloat16);
HWY_EXPORT(ReluGradientBfloat16ToFloat);
HWY_EXPORT(ReluGradientBfloat16ToBfloat16);
HWY_EXPORT(ColumnSumsLoop);
HWY_EXPORT(DropFloat);
HWY_EXPORT(DropBfloat16);

void FloatsToBfloat16(const float* in, int64_t count, Bfloat16* out) {
  HWY_DYNAMIC_DISPATCH(FloatsToBfloat16Loop)(in, count, out);
}
void Bfloat16ToFloats(const Bfloat16* in, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(Bfloat16ToFloatsLoop)(in, count, out);
}
void Axpy(float a, const float* x, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AxpyLoop)(a, x, count, y);
}
void AddTo(const float* x, int64_t count, float* y) {
  HWY_DYNAMIC_DISPATCH(AddToLoop)(x, count, y);
}
float Dot(const float* x, const float* y, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(DotLoop)(x, y, count);
}
void AddBias(int rows, int cols, const float* bias, float* x, int stride) {
  HWY_DYNAMIC_DISPATCH(AddBiasLoop)(rows, cols, bias, x, stride);
}
void Relu(int rows, int cols, const float* x, int stride, float* out, int out_stride) {
  HWY_DYNAMIC_DISPATCH(ReluFloat)(rows, cols, x, stride, out, out_stride);
}
void Relu(int rows, int cols, const float* x, int stride, Bfloat16* out, int out_stride) {
  HWY_DYNAMIC_DISPATCH(ReluBfloat16)(rows, cols, x, stride, out, out_stride);
}
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const float* y, int y_stride,
                  float scale, float* out, int out_stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(ReluGradientFloatToFloat)
  (rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const float* y, int y_stride,
                  float scale, Bfloat16* out, int out_stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(ReluGradientFloatToBfloat16)
  (rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const Bfloat16* y,
                  int y_stride, float scale, float* out, int out_stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(ReluGradientBfloat16ToFloat)
  (rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ReluGradient(int rows, int cols, const float* dy, int dy_stride, const Bfloat16* y,
                  int y_stride, float scale, Bfloat16* out, int out_stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(ReluGradientBfloat16ToBfloat16)
  (rows, cols, dy, dy_stride, y, y_stride, scale, out, out_stride, sums);
}
void ColumnSums(int rows, int cols, const float* x, int stride, float* sums) {
  HWY_DYNAMIC_DISPATCH(ColumnSumsLoop)(rows, cols, x, stride, sums);
}
void DropRow(uint32_t key, uint32_t threshold, float scale, int cols, float* x) {
  HWY_DYNAMIC_DISPATCH(DropFloat)(key, threshold, scale, cols, x);
}
void DropRow(uint32_t key, uint32_t threshold, float scale, int cols, Bfloat16* x) {
  HWY_DYNAMIC_DISPATCH(DropBfloat16)(key, threshold, scale, cols, x);
}

}  // namespace capstan
#endif  // HWY_ONCE
