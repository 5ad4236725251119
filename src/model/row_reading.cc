#include "model/row_reading.h"

#include <algorithm>
#include <type_traits>

#include "tensor/row_ops.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {

// One value per example, counted once.
bool IsPlain(const KeyColumn& column) { return column.offsets.empty() && column.weights.empty(); }

}  // namespace

RowReading::RowReading(const FeatureTables& tables, std::span<const PulledRowFormat> row_formats)
    : tables_(tables), formats_(row_formats.begin(), row_formats.end()) {}

void RowReading::Pool(const SliceInput& input, int column, int part, int dim, float* out,
                      int stride) {
  const KeyColumn& keys = input.batch->columns[column];
  const FeatureColumn& feature = tables_.columns()[column];
  RowReader reader{.rows = input.rows->rows[feature.table],
                   .index = input.rows->index[column],
                   .offset = formats_[feature.table].part_offset[part],
                   .dim = dim};
  const uint32_t* offsets = nullptr;
  if (keys.offsets.empty()) {
    reader.index += input.begin;
  } else {
    offsets = keys.offsets.data() + input.begin;
  }
  const bool scaled =
      PoolingCoefficients(feature.combiner, keys, input.begin, input.end, &coefficients_);
  PoolRows(reader, offsets, scaled ? coefficients_.data() : nullptr, input.end - input.begin, out,
           stride);
}

void RowReading::AddWide(const SliceInput& input, int outputs, float* logits) {
  for (size_t c = 0; c < tables_.columns().size(); ++c) {
    const FeatureColumn& feature = tables_.columns()[c];
    if (feature.wide_part < 0) continue;
    const int column = static_cast<int>(c);
    if (!IsPlain(input.batch->columns[c])) {
      Pool(input, column, feature.wide_part, outputs, logits, outputs);
      continue;
    }
    AddRows({.rows = input.rows->rows[feature.table],
             .index = input.rows->index[c] + input.begin,
             .offset = formats_[feature.table].part_offset[feature.wide_part],
             .dim = outputs},
            input.end - input.begin, logits, outputs);
  }
}

template <class T>
void RowReading::ReadEach(const SliceInput& input, T* out, int stride) {
  const int count = input.end - input.begin;
  for (size_t c = 0; c < tables_.columns().size(); ++c) {
    const FeatureColumn& feature = tables_.columns()[c];
    if (feature.embedding_part < 0) continue;
    const int dim = feature.dim;
    T* column_out = out + feature.pooled_offset;
    if (IsPlain(input.batch->columns[c])) {
      GatherRows({.rows = input.rows->rows[feature.table],
                  .index = input.rows->index[c] + input.begin,
                  .offset = formats_[feature.table].part_offset[feature.embedding_part],
                  .dim = dim},
                 count, column_out, stride);
      continue;
    }
    pooled_.assign(static_cast<size_t>(count) * dim, 0.0f);
    Pool(input, static_cast<int>(c), feature.embedding_part, dim, pooled_.data(), dim);
    for (int i = 0; i < count; ++i) {
      const float* from = pooled_.data() + static_cast<size_t>(i) * dim;
      T* to = column_out + static_cast<size_t>(i) * stride;
      if constexpr (std::is_same_v<T, float>) {
        std::copy(from, from + dim, to);
      } else {
        FloatsToBfloat16(from, dim, to);
      }
    }
  }
}

void RowReading::ReadEmbeddings(const SliceInput& input, float* out, int stride) {
  ReadEach(input, out, stride);
}
void RowReading::ReadEmbeddings(const SliceInput& input, Bfloat16* out, int stride) {
  ReadEach(input, out, stride);
}

}  // namespace capstan
