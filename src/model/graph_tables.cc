#include "model/graph_tables.h"

namespace capstan {

GraphLookup::GraphLookup(const FeatureSpec& feature, const CategoryInput& input,
                         const TableSpec& table, int64_t rows, const GraphTensor& batch_size,
                         GraphBuilder* graph, GraphVariables* variables)
    : table_(table),
      name_(feature.name),
      rows_(table.dense_size > 0 ? table.dense_size : rows),
      segments_(input.segments),
      batch_size_(batch_size),
      graph_(graph),
      variables_(variables) {
  GraphTensor found = input.ids;
  if (table.dense_size > 0) {
    row_ = graph->Binary("Minimum", name_ + "/capped",
                         graph->Binary("Maximum", name_ + "/row", found, graph->Scalar64(0)),
                         graph->Scalar64(table.dense_size - 1));
  } else {
    const GraphTensor handle = variables->RowTable(table.variable, table.variable + "-keys", rows_);
    found = graph->Add("LookupTableFindV2", name_ + "/found",
                       {{handle, input.ids, graph->Scalar64(-1)}},
                       {{"Tin", DType::kInt64}, {"Tout", DType::kInt64}}, DType::kInt64);
    row_ = graph->Binary("Maximum", name_ + "/row", found, graph->Scalar64(0));
  }
  const GraphTensor known = graph->Binary("Equal", name_ + "/known", row_, found);
  GraphTensor coefficient = graph->Cast(name_ + "/mask", known, DType::kFloat);
  if (!input.weights.name.empty()) {
    coefficient = graph->Binary("Mul", name_ + "/coefficient", input.weights, coefficient);
  }
  coefficient_ = graph->ExpandDims(name_ + "/coefficients", coefficient, 1);
  if (!segments_.name.empty() && feature.combiner != Combiner::kSum) {
    GraphTensor weights = input.weights;
    if (weights.name.empty()) weights = graph->Unary("OnesLike", name_ + "/ones", coefficient);
    denominator_ = Denominator(feature.combiner, weights);
  }
}

// UnsortedSegmentSum: the sorted forms drop examples without values at the end of a batch.
GraphTensor GraphLookup::SegmentSum(const std::string& name, const GraphTensor& data) const {
  return graph_->Add(
      "UnsortedSegmentSum", name, {{data, segments_, batch_size_}},
      {{"T", DType::kFloat}, {"Tindices", DType::kInt64}, {"Tnumsegments", DType::kInt32}},
      DType::kFloat);
}

// mean: sum of the weights; sqrtn: root of the sum of their squares. Unknown ids count.
GraphTensor GraphLookup::Denominator(Combiner combiner, const GraphTensor& weights) const {
  const bool root = combiner == Combiner::kSqrtN;
  GraphTensor sum = SegmentSum(
      name_ + "/weight_sum", root ? graph_->Unary("Square", name_ + "/squares", weights) : weights);
  if (root) sum = graph_->Unary("Sqrt", name_ + "/root", sum);
  return graph_->ExpandDims(name_ + "/denominator", sum, 1);
}

StatusOr<GraphTensor> GraphLookup::Pooled(const std::string& part) const {
  const RowPart* found = nullptr;
  for (const RowPart& candidate : table_.parts) {
    if (candidate.name == part) found = &candidate;
  }
  if (found == nullptr) {
    return NotFoundError("export feature '{}': table '{}' has no part '{}'", name_, table_.name,
                         part);
  }
  const std::string scope = name_ + "/" + part;
  const GraphTensor values =
      variables_->Variable(found->variable, DType::kFloat, {rows_, found->dim}, true);
  const GraphTensor vectors = graph_->Binary(
      "Mul", scope + "/masked", graph_->Gather(scope + "/gather", values, row_), coefficient_);
  if (segments_.name.empty()) return vectors;
  const GraphTensor sum = SegmentSum(scope + "/sum", vectors);
  if (denominator_.name.empty()) return sum;
  return graph_->Binary("DivNoNan", scope + "/combined", sum, denominator_);
}

}  // namespace capstan
