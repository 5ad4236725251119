// Table lookups of an exported graph: ids → rows → pooled vectors, one per example.
//
// An id without a row counts as zeros, as in training: the table answers -1, row 0 is read in its
// place, and the coefficient of the value is 0. Values of unknown ids still count in a mean.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/feature_spec.h"
#include "model/graph_builder.h"
#include "model/graph_inputs.h"
#include "model/graph_variables.h"
#include "params/table_spec.h"

namespace capstan {

// The rows that one feature's values stand for, ready to be read from any part of the table.
class GraphLookup {
 public:
  // `rows`: rows of the table in the bundle, -1: any number. `table` must live longer.
  GraphLookup(const FeatureSpec& feature, const CategoryInput& input, const TableSpec& table,
              int64_t rows, const GraphTensor& batch_size, GraphBuilder* graph,
              GraphVariables* variables);

  // [batch, dim of the part]: the feature's combination of its values' vectors. NotFound: the table
  // has no such part.
  StatusOr<GraphTensor> Pooled(const std::string& part) const;

 private:
  GraphTensor SegmentSum(const std::string& name, const GraphTensor& data) const;
  GraphTensor Denominator(Combiner combiner, const GraphTensor& weights) const;

  const TableSpec& table_;
  const std::string name_;  // of the feature
  const int64_t rows_;
  const GraphTensor segments_, batch_size_;
  GraphTensor row_;          // int64 [values], in range
  GraphTensor coefficient_;  // float [values, 1]; 0 for unknown ids
  GraphTensor denominator_;  // float [batch, 1]; no name: none
  GraphBuilder* const graph_;
  GraphVariables* const variables_;
};

}  // namespace capstan
