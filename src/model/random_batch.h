// For tests and benchmarks: random parameters and a random batch for any model.
#pragma once

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "model/model.h"
#include "model/row_gradients.h"
#include "tensor/aligned_vector.h"

namespace capstan {

// A batch of `examples` with the rows that it needs: `keys` per table, of which the last one has no
// row. A row is [2 floats | part | part | …].
struct RandomBatch {
  RandomBatch(const Model& model, int examples, int keys, uint64_t seed, double stddev = 0.5);

  // Gradients of a table's rows over all of `slices`.
  std::vector<float> Merge(const Model& model, int table,
                           std::span<const SliceGradients> slices) const {
    std::vector<float> scratch, out(static_cast<size_t>(keys) * GradientDim(model, table));
    MergeRowGradients(model, table, batch, rows, slices, keys, &scratch, out);
    return out;
  }
  static int GradientDim(const Model& model, int table) {
    int dim = 0;
    for (const RowPart& part : model.tables()[table].parts) dim += part.dim;
    return dim;
  }
  SliceInput Input(int begin, int end) const {
    return {.batch = &batch,
            .rows = &rows,
            .dense = dense.data(),
            .begin = begin,
            .end = end,
            .step = 7};
  }

  int keys;
  std::vector<std::vector<float>> memory;               // [table]
  std::vector<std::vector<const float*>> row_pointers;  // [table]
  std::vector<std::vector<uint32_t>> index;             // [column]
  std::vector<PulledRowFormat> formats;
  AlignedVector<float> dense;
  Batch batch;
  BatchRows rows;

 private:
  void AddColumn(const FeatureSpec& feature, RandomStream* random);
};

inline RandomBatch::RandomBatch(const Model& model, int examples, int keys, uint64_t seed,
                                double stddev)
    : keys(keys) {
  RandomStream random(seed);
  const ModelSpec& spec = model.spec();
  for (size_t t = 0; t < model.tables().size(); ++t) {
    PulledRowFormat& format = formats.emplace_back();
    int width = 2;
    for (const RowPart& part : model.tables()[t].parts) {
      format.part_offset.push_back(width);
      width += part.dim;
    }
    memory.emplace_back(static_cast<size_t>(keys) * width);
    for (float& value : memory.back()) value = static_cast<float>(stddev * random.Normal());
    auto& pointers = row_pointers.emplace_back();
    for (int k = 0; k < keys; ++k) pointers.push_back(memory.back().data() + k * width);
    pointers.back() = nullptr;
  }
  dense.resize(model.dense_size());
  for (float& value : dense) value = static_cast<float>(stddev * random.Normal());
  for (const DenseSpec& variable : model.dense_variables()) {
    if (variable.variable.find("moving_variance") == std::string::npos) continue;
    for (int64_t i = 0; i < ElementCount(variable.shape); ++i) {
      dense[variable.offset + i] = std::abs(dense[variable.offset + i]) + 0.5f;
    }
  }
  batch.size = examples;
  batch.dense.resize(static_cast<size_t>(examples) * DenseWidth(spec.input));
  for (float& value : batch.dense) value = static_cast<float>(random.Normal());
  for (int i = 0; i < examples; ++i) {
    batch.labels.push_back(spec.loss == Loss::kMeanSquare
                               ? static_cast<float>(random.Normal())
                               : static_cast<float>(random.Below(spec.classes)));
  }
  for (const FeatureSpec& feature : spec.input.features) {
    if (IsCategorical(feature)) AddColumn(feature, &random);
  }
  for (const auto& pointers : row_pointers) rows.rows.push_back(pointers.data());
  for (const auto& column : index) rows.index.push_back(column.data());
}

inline void RandomBatch::AddColumn(const FeatureSpec& feature, RandomStream* random) {
  KeyColumn& column = batch.columns.emplace_back();
  auto& values = index.emplace_back();
  if (feature.multi_valued) column.offsets.push_back(0);
  for (int i = 0; i < batch.size; ++i) {
    const uint64_t count = feature.multi_valued ? random->Below(4) : 1;
    for (uint64_t v = 0; v < count; ++v) {
      // Skewed as in life: a few rows take most.
      const double u = random->Uniform();
      values.push_back(static_cast<uint32_t>(u * u * u * keys));
      column.keys.push_back(values.back());
      if (!feature.weights.empty()) {
        column.weights.push_back(static_cast<float>(0.2 + random->Uniform()));
      }
    }
    if (feature.multi_valued) column.offsets.push_back(static_cast<uint32_t>(values.size()));
  }
}

}  // namespace capstan
