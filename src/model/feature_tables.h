// Which categorical feature reads which vectors of which table.
//
// A table has a part "wide" (dim OutputCount) if the model has a wide part and one of the table's
// features is wide; a part "embedding" if the model has vectors (all but lr) and one of its
// features is deep. Tables that no feature uses are left out.
#pragma once

#include <string>
#include <vector>

#include "data/batch.h"
#include "model/model_spec.h"
#include "params/table_spec.h"

namespace capstan {

struct FeatureColumn {
  int table = -1;           // -1: the model takes nothing from this feature
  int wide_part = -1;       // number of the table's part, or -1
  int embedding_part = -1;  // number of the table's part, or -1
  int dim = 0;              // of the embedding
  int pooled_offset = -1;   // where the embedding stands in the concatenation of all
  Combiner combiner = Combiner::kSum;
};

class FeatureTables {
 public:
  explicit FeatureTables(const ModelSpec& spec);

  const std::vector<TableSpec>& tables() const { return tables_; }
  // By categorical feature.
  const std::vector<FeatureColumn>& columns() const { return columns_; }
  // The embeddings side by side, feature by feature.
  int embedding_count() const { return embedding_count_; }
  int embedding_width() const { return embedding_width_; }

 private:
  std::vector<TableSpec> tables_;
  std::vector<FeatureColumn> columns_;
  int embedding_count_ = 0;
  int embedding_width_ = 0;
};

// The factors of a column's values in the pooled vectors of examples begin … end-1. sum: w; mean: w
// / Σw; sqrtn: w / sqrt(Σw²), with sums over an example's values (0 where a sum is 0). False if
// they are all 1: then nothing is written.
bool PoolingCoefficients(Combiner combiner, const KeyColumn& column, int begin, int end,
                         std::vector<float>* coefficients);

}  // namespace capstan
