// What the vector kernels share: to be included behind <hwy/foreach_target.h>, once per target.
//
// The same bits on AVX2 and AVX-512: elementwise operations are the same on every width; sums have
// 16 fixed partial sums, lane l holding elements l, l + 16, …, added up as a tree.

#if defined(CAPSTAN_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef CAPSTAN_SIMD_INL_H_
#undef CAPSTAN_SIMD_INL_H_
#else
#define CAPSTAN_SIMD_INL_H_
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "tensor/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Wide = hn::CappedTag<float, 16>;   // up to 16 lanes
using Single = hn::CappedTag<float, 1>;  // the tail, with the same arithmetic
using WideVec = hn::Vec<Wide>;

HWY_INLINE size_t WideLanes() { return hn::Lanes(Wide()); }

// Loads and stores of floats, also as bfloat16 in memory.
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const Bfloat16* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint32_t, D> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, p))));
}
template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, float* p) {
  hn::StoreU(v, d, p);
}
template <class D>
HWY_INLINE void StoreFloats(hn::Vec<D> v, D d, Bfloat16* p) {
  const hn::Rebind<uint16_t, D> d16;
  const hn::Rebind<uint32_t, D> d32;
  const hn::Rebind<int32_t, D> di32;
  const auto bits = hn::BitCast(d32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(d32, 1));
  const auto rounded = hn::Add(bits, hn::Add(odd, hn::Set(d32, 0x7fff)));
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di32, hn::ShiftRight<16>(rounded))), d16, p);
}

// body(tag, i) for whole vectors, then for single elements.
template <class Body>
HWY_INLINE void ForEach(size_t count, const Body& body) {
  const Wide wide;
  const size_t lanes = hn::Lanes(wide);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) body(wide, i);
  for (; i < count; ++i) body(Single(), i);
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#endif  // CAPSTAN_SIMD_INL_H_
