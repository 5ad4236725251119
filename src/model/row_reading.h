// Reads the rows of a slice: wide weights into logits, embeddings into matrices.
#pragma once

#include <span>
#include <vector>

#include "model/feature_tables.h"
#include "model/model.h"
#include "tensor/bfloat16.h"

namespace capstan {

// One per workspace: it has scratch memory.
class RowReading {
 public:
  // `tables` must outlive it.
  RowReading(const FeatureTables& tables, std::span<const PulledRowFormat> row_formats);

  // logits [examples, outputs] += Σ coefficient × wide weights.
  void AddWide(const SliceInput& input, int outputs, float* logits);

  // out [examples, stride]: the pooled embeddings, each at its pooled_offset, overwritten.
  void ReadEmbeddings(const SliceInput& input, float* out, int stride);
  void ReadEmbeddings(const SliceInput& input, Bfloat16* out, int stride);

 private:
  template <class T>
  void ReadEach(const SliceInput& input, T* out, int stride);
  // out [examples, stride] += pooled vectors of a column with lists or weights.
  void Pool(const SliceInput& input, int column, int part, int dim, float* out, int stride);

  const FeatureTables& tables_;
  const std::vector<PulledRowFormat> formats_;
  std::vector<float> coefficients_, pooled_;
};

}  // namespace capstan
