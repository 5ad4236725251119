#include "tensor/pairwise_dots.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/pairwise_dots.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {

// Row i of the dots with all v_j, j < i rounded up to vectors: Σ_d v_id vT[d, j], d ascending.
void DotsForward(const float* v, int count, int dim, const float* transposed, int stride,
                 float* line, float* dots) {
  const Wide d;
  const int lanes = static_cast<int>(hn::Lanes(d));
  for (int i = 1; i < count; ++i) {
    const float* vi = v + static_cast<int64_t>(i) * dim;
    for (int j = 0; j < i; j += lanes) {
      auto sum = hn::Zero(d);
      for (int k = 0; k < dim; ++k) {
        sum = hn::MulAdd(hn::Set(d, vi[k]), hn::LoadU(d, transposed + k * stride + j), sum);
      }
      hn::StoreU(sum, d, line + j);
    }
    for (int j = 0; j < i; ++j) dots[j] = line[j];
    dots += i;
  }
}

// `g` [count, count] is symmetric with a zero diagonal.
void DotsBackward(const float* v, int count, int dim, const float* g, float* dv) {
  for (int i = 0; i < count; ++i) {
    const float* gi = g + i * count;
    float* out = dv + static_cast<int64_t>(i) * dim;
    ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
      // Four partial sums: the additions wait for each other otherwise.
      auto s0 = hn::Zero(d), s1 = hn::Zero(d), s2 = hn::Zero(d), s3 = hn::Zero(d);
      int j = 0;
      for (; j + 4 <= count; j += 4) {
        const float* vj = v + static_cast<int64_t>(j) * dim + k;
        s0 = hn::MulAdd(hn::Set(d, gi[j]), hn::LoadU(d, vj), s0);
        s1 = hn::MulAdd(hn::Set(d, gi[j + 1]), hn::LoadU(d, vj + dim), s1);
        s2 = hn::MulAdd(hn::Set(d, gi[j + 2]), hn::LoadU(d, vj + 2 * dim), s2);
        s3 = hn::MulAdd(hn::Set(d, gi[j + 3]), hn::LoadU(d, vj + 3 * dim), s3);
      }
      for (; j < count; ++j) {
        s0 = hn::MulAdd(hn::Set(d, gi[j]), hn::LoadU(d, v + static_cast<int64_t>(j) * dim + k), s0);
      }
      hn::StoreU(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), d, out + k);
    });
  }
}

void SumVectors(const float* v, int count, int dim, float* sum, float* squares) {
  ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
    auto total = hn::Zero(d), square = hn::Zero(d);
    for (int i = 0; i < count; ++i) {
      const auto x = hn::LoadU(d, v + static_cast<int64_t>(i) * dim + k);
      total = hn::Add(total, x);
      square = hn::MulAdd(x, x, square);
    }
    hn::StoreU(total, d, sum + k);
    hn::StoreU(hn::Sub(hn::Mul(total, total), square), d, squares + k);
  });
}

void AddGradient(const float* v, const float* sum, int count, int dim, float scale, float* dv) {
  for (int i = 0; i < count; ++i, v += dim, dv += dim) {
    ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
      const auto difference = hn::Sub(hn::LoadU(d, sum + k), hn::LoadU(d, v + k));
      hn::StoreU(hn::MulAdd(hn::Set(d, scale), difference, hn::LoadU(d, dv + k)), d, dv + k);
    });
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace capstan {

HWY_EXPORT(DotsForward);
HWY_EXPORT(DotsBackward);
HWY_EXPORT(SumVectors);
HWY_EXPORT(AddGradient);

namespace {
int RoundUp16(int n) { return (n + 15) / 16 * 16; }
}  // namespace

PairwiseDots::PairwiseDots(int count, int dim)
    : count_(count),
      dim_(dim),
      transposed_(static_cast<size_t>(RoundUp16(count)) * (count > dim ? count : dim)),
      line_(RoundUp16(count)) {}

void PairwiseDots::Forward(const float* v, float* dots) {
  const int stride = RoundUp16(count_);
  for (int i = 0; i < count_; ++i) {
    for (int k = 0; k < dim_; ++k) transposed_[k * stride + i] = v[i * dim_ + k];
  }
  HWY_DYNAMIC_DISPATCH(DotsForward)
  (v, count_, dim_, transposed_.data(), stride, line_.data(), dots);
}

void PairwiseDots::Backward(const float* v, const float* ddots, float* dv) {
  float* g = transposed_.data();
  for (int i = 0; i < count_; ++i) {
    g[i * count_ + i] = 0.0f;
    for (int j = 0; j < i; ++j) g[i * count_ + j] = g[j * count_ + i] = *ddots++;
  }
  HWY_DYNAMIC_DISPATCH(DotsBackward)(v, count_, dim_, g, dv);
}

float SumOfPairwiseDots(const float* v, int count, int dim, float* sum) {
  float squares[4096];  // the largest dim
  HWY_DYNAMIC_DISPATCH(SumVectors)(v, count, dim, sum, squares);
  float total = 0.0f;
  for (int k = 0; k < dim; ++k) total += squares[k];
  return 0.5f * total;
}

void AddPairwiseGradient(const float* v, const float* sum, int count, int dim, float scale,
                         float* dv) {
  HWY_DYNAMIC_DISPATCH(AddGradient)(v, sum, count, dim, scale, dv);
}

}  // namespace capstan
#endif  // HWY_ONCE
