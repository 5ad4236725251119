#include "tensor/row_ops.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tensor/row_ops.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "tensor/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace capstan {
namespace HWY_NAMESPACE {

// How many values ahead rows are fetched.
constexpr int kAhead = 12;

HWY_INLINE void PrefetchRow(const RowReader& reader, int value, int count) {
  if (value >= count) return;
  // As a number: the row may be null.
  const uintptr_t vector =
      reinterpret_cast<uintptr_t>(reader.rows[reader.index[value]]) + sizeof(float) * reader.offset;
  const uintptr_t last = vector + sizeof(float) * reader.dim - 1;
  for (uintptr_t line = vector; line < last; line += 64) {
    __builtin_prefetch(reinterpret_cast<const void*>(line));
  }
  __builtin_prefetch(reinterpret_cast<const void*>(last));
}

template <class T>
HWY_INLINE void ZeroFloats(int count, T* out) {
  for (int i = 0; i < count; ++i) out[i] = 0;
}

// kDim > 0: known when compiled.
template <int kDim, class T>
HWY_INLINE void Gather(const RowReader& reader, int count, T* out, int stride) {
  const int dim = kDim > 0 ? kDim : reader.dim;
  for (int i = 0; i < count; ++i, out += stride) {
    PrefetchRow(reader, i + kAhead, count);
    const float* row = reader.rows[reader.index[i]];
    if (row == nullptr) {
      ZeroFloats(dim, out);
      continue;
    }
    row += reader.offset;
    ForEach(dim,
            [&](auto d, size_t k) HWY_ATTR { StoreFloats(hn::LoadU(d, row + k), d, out + k); });
  }
}
template <class T>
HWY_INLINE void GatherAny(const RowReader& reader, int count, T* out, int stride) {
  switch (reader.dim) {
    case 16:
      return Gather<16>(reader, count, out, stride);
    case 32:
      return Gather<32>(reader, count, out, stride);
    default:
      return Gather<0>(reader, count, out, stride);
  }
}
void GatherFloat(const RowReader& reader, int count, float* out, int stride) {
  GatherAny(reader, count, out, stride);
}
void GatherBfloat16(const RowReader& reader, int count, Bfloat16* out, int stride) {
  GatherAny(reader, count, out, stride);
}

void AddRowsLoop(const RowReader& reader, int count, float* out, int stride) {
  if (reader.dim == 1) {
    for (int i = 0; i < count; ++i, out += stride) {
      const float* row = reader.rows[reader.index[i]];
      if (row != nullptr) *out += row[reader.offset];
    }
    return;
  }
  for (int i = 0; i < count; ++i, out += stride) {
    const float* row = reader.rows[reader.index[i]];
    if (row == nullptr) continue;
    row += reader.offset;
    for (int k = 0; k < reader.dim; ++k) out[k] += row[k];
  }
}

void PoolRowsLoop(const RowReader& reader, const uint32_t* offsets, const float* coefficients,
                  int count, float* out, int stride) {
  if (count == 0) return;
  const int begin = static_cast<int>(offsets == nullptr ? 0 : offsets[0]);
  const int end = static_cast<int>(offsets == nullptr ? count : offsets[count]);
  for (int i = 0; i < count; ++i, out += stride) {
    const int first = static_cast<int>(offsets == nullptr ? i : offsets[i]);
    const int last = static_cast<int>(offsets == nullptr ? i + 1 : offsets[i + 1]);
    for (int v = first; v < last; ++v) {
      PrefetchRow(reader, v + kAhead, end);
      const float* row = reader.rows[reader.index[v]];
      if (row == nullptr) continue;
      row += reader.offset;
      const float coefficient = coefficients == nullptr ? 1.0f : coefficients[v - begin];
      ForEach(reader.dim, [&](auto d, size_t k) HWY_ATTR {
        hn::StoreU(
            hn::MulAdd(hn::Set(d, coefficient), hn::LoadU(d, row + k), hn::LoadU(d, out + k)), d,
            out + k);
      });
    }
  }
}

// kDim > 0: known when compiled.
template <int kDim>
HWY_INLINE void AddMatrix(std::span<float* const> targets, const float* source, int stride,
                          int dim) {
  if (kDim > 0) dim = kDim;
  for (size_t i = 0; i < targets.size(); ++i, source += stride) {
    float* target = targets[i];
    // A column of a wide matrix: strides that the machine does not foresee.
    if (kDim != 1 && i + kAhead < targets.size()) __builtin_prefetch(source + kAhead * stride);
    ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, target + k), hn::LoadU(d, source + k)), d, target + k);
    });
  }
}

void AddMatrixLoop(std::span<float* const> targets, const float* source, int stride, int dim) {
  switch (dim) {
    case 1:
      return AddMatrix<1>(targets, source, stride, dim);
    case 16:
      return AddMatrix<16>(targets, source, stride, dim);
    case 32:
      return AddMatrix<32>(targets, source, stride, dim);
    default:
      return AddMatrix<0>(targets, source, stride, dim);
  }
}

HWY_INLINE void AddToLoop(const float* x, int count, float* y) {
  ForEach(count, [&](auto d, size_t k) HWY_ATTR {
    hn::StoreU(hn::Add(hn::LoadU(d, y + k), hn::LoadU(d, x + k)), d, y + k);
  });
}

void DrainRowsLoop(std::span<const uint32_t> rows, int dim, float* from, float* to) {
  if (dim == 1) {
    for (const uint32_t row : rows) {
      to[row] += from[row];
      from[row] = 0.0f;
    }
    return;
  }
  for (const uint32_t row : rows) {
    float* source = from + static_cast<size_t>(row) * dim;
    float* target = to + static_cast<size_t>(row) * dim;
    ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
      hn::StoreU(hn::Add(hn::LoadU(d, target + k), hn::LoadU(d, source + k)), d, target + k);
      hn::StoreU(hn::Zero(d), d, source + k);
    });
  }
}

void AddToRowsLoop(std::span<float* const> targets, std::span<const float* const> sources,
                   std::span<const float> coefficients, int dim) {
  if (coefficients.empty()) {
    for (size_t i = 0; i < targets.size(); ++i) AddToLoop(sources[i], dim, targets[i]);
    return;
  }
  for (size_t i = 0; i < targets.size(); ++i) {
    float* target = targets[i];
    const float* source = sources[i];
    const float coefficient = coefficients[i];
    ForEach(dim, [&](auto d, size_t k) HWY_ATTR {
      hn::StoreU(
          hn::MulAdd(hn::Set(d, coefficient), hn::LoadU(d, source + k), hn::LoadU(d, target + k)),
          d, target + k);
    });
  }
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace capstan
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace capstan {

HWY_EXPORT(GatherFloat);
HWY_EXPORT(GatherBfloat16);
HWY_EXPORT(AddRowsLoop);
HWY_EXPORT(PoolRowsLoop);
HWY_EXPORT(AddToRowsLoop);
HWY_EXPORT(AddMatrixLoop);
HWY_EXPORT(DrainRowsLoop);

void GatherRows(const RowReader& reader, int count, float* out, int stride) {
  HWY_DYNAMIC_DISPATCH(GatherFloat)(reader, count, out, stride);
}
void GatherRows(const RowReader& reader, int count, Bfloat16* out, int stride) {
  HWY_DYNAMIC_DISPATCH(GatherBfloat16)(reader, count, out, stride);
}
void AddRows(const RowReader& reader, int count, float* out, int stride) {
  HWY_DYNAMIC_DISPATCH(AddRowsLoop)(reader, count, out, stride);
}
void PoolRows(const RowReader& reader, const uint32_t* offsets, const float* coefficients,
              int count, float* out, int stride) {
  HWY_DYNAMIC_DISPATCH(PoolRowsLoop)(reader, offsets, coefficients, count, out, stride);
}
void AddToRows(std::span<float* const> targets, std::span<const float* const> sources,
               std::span<const float> coefficients, int dim) {
  HWY_DYNAMIC_DISPATCH(AddToRowsLoop)(targets, sources, coefficients, dim);
}

void AddMatrixToRows(std::span<float* const> targets, const float* source, int stride, int dim) {
  HWY_DYNAMIC_DISPATCH(AddMatrixLoop)(targets, source, stride, dim);
}

void DrainRows(std::span<const uint32_t> rows, int dim, float* from, float* to) {
  HWY_DYNAMIC_DISPATCH(DrainRowsLoop)(rows, dim, from, to);
}

}  // namespace capstan
#endif  // HWY_ONCE
