#include "model/feature_tables.h"

#include <cmath>

#include "model/dense_builder.h"

namespace capstan {
namespace {

bool ReadsWide(const ModelSpec& spec, const FeatureSpec& feature) {
  return HasWide(spec.kind) && feature.wide;
}
bool ReadsEmbedding(const ModelSpec& spec, const FeatureSpec& feature) {
  return spec.kind != ModelKind::kLr && feature.deep;
}

TableSpec MakeTable(const ModelSpec& spec, const EmbeddingSpec& embedding, bool wide, bool deep) {
  const bool sparse_2018 = spec.naming == Naming::kSparse2018;
  TableSpec table;
  table.name = embedding.name;
  table.variable = "tables/" + embedding.name;
  table.dense_size = embedding.dense_size;
  table.admission_count = embedding.admission_count;
  table.expiry_steps = embedding.expiry_steps;
  if (wide) {
    RowPart part;
    part.name = "wide";
    part.variable = sparse_2018 ? "logistic_regression/weights" : table.variable + "/wide";
    part.dim = OutputCount(spec);
    part.optimizer = spec.wide_optimizer;
    part.initializer = WideInitializer(spec);
    table.parts.push_back(part);
  }
  if (deep) {
    RowPart part;
    part.name = "embedding";
    part.variable = sparse_2018 ? "input/weights" : table.variable + "/embedding";
    part.dim = embedding.dim;
    part.optimizer = spec.deep_optimizer;
    part.initializer = EmbeddingInitializer(spec, embedding.dim);
    table.parts.push_back(part);
  }
  return table;
}

int FindTable(const std::vector<TableSpec>& tables, const std::string& name) {
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

int FindPart(const TableSpec& table, const std::string& name) {
  for (size_t i = 0; i < table.parts.size(); ++i) {
    if (table.parts[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

}  // namespace

FeatureTables::FeatureTables(const ModelSpec& spec) {
  for (const EmbeddingSpec& embedding : spec.embeddings) {
    bool wide = false, deep = false;
    for (const FeatureSpec& feature : spec.input.features) {
      if (!IsCategorical(feature) || feature.table != embedding.name) continue;
      wide |= ReadsWide(spec, feature);
      deep |= ReadsEmbedding(spec, feature);
    }
    if (wide || deep) tables_.push_back(MakeTable(spec, embedding, wide, deep));
  }
  for (const FeatureSpec& feature : spec.input.features) {
    if (!IsCategorical(feature)) continue;
    FeatureColumn& column = columns_.emplace_back();
    column.combiner = feature.combiner;
    const bool wide = ReadsWide(spec, feature), deep = ReadsEmbedding(spec, feature);
    if (!wide && !deep) continue;
    column.table = FindTable(tables_, feature.table);
    const TableSpec& table = tables_[column.table];
    if (wide) column.wide_part = FindPart(table, "wide");
    if (deep) {
      column.embedding_part = FindPart(table, "embedding");
      column.dim = table.parts[column.embedding_part].dim;
      column.pooled_offset = embedding_width_;
      embedding_width_ += column.dim;
      ++embedding_count_;
    }
  }
}

bool PoolingCoefficients(Combiner combiner, const KeyColumn& column, int begin, int end,
                         std::vector<float>* coefficients) {
  const bool weighted = !column.weights.empty(), single = column.offsets.empty();
  if (!weighted && (single || combiner == Combiner::kSum)) return false;
  coefficients->clear();
  for (int i = begin; i < end; ++i) {
    const uint32_t first = single ? i : column.offsets[i];
    const uint32_t last = single ? i + 1 : column.offsets[i + 1];
    float sum = 0.0f;
    for (uint32_t v = first; v < last; ++v) {
      const float weight = weighted ? column.weights[v] : 1.0f;
      sum += combiner == Combiner::kSqrtN ? weight * weight : weight;
    }
    float factor = 1.0f;
    if (combiner == Combiner::kMean) factor = sum == 0.0f ? 0.0f : 1.0f / sum;
    if (combiner == Combiner::kSqrtN) factor = sum == 0.0f ? 0.0f : 1.0f / std::sqrt(sum);
    for (uint32_t v = first; v < last; ++v) {
      coefficients->push_back((weighted ? column.weights[v] : 1.0f) * factor);
    }
  }
  return true;
}

}  // namespace capstan
