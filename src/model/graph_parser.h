// Serialized Examples → one tensor per column: the ParseExampleV2 node of a graph.
//
// Each column is parsed once, however many features read it; the op cannot take a name twice. Where
// all readers want the same dense form it is parsed dense, else ragged, and the readers that want
// it dense get a dense copy.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/graph_builder.h"

namespace capstan {

// The values of a column as they stand in the Examples, whatever their number.
struct RaggedColumn {
  GraphTensor values;      // [values]
  GraphTensor row_splits;  // int64 [batch + 1]
};
struct SparseColumn {
  GraphTensor indices;  // int64 [values, 2]: example, place
  GraphTensor values;   // [values]
  GraphTensor shape;    // int64 [2]
};

// First every reader says what it wants, then Finish() writes the node, then the readers take it.
class GraphParser {
 public:
  GraphParser(GraphBuilder* graph, const GraphTensor& examples)
      : graph_(graph), examples_(examples) {}

  // Exactly `length` values, `fill` where the column is missing (int64: fill_id, string: "").
  Status WantDense(const std::string& column, DType dtype, int length, float fill, int64_t fill_id);
  Status WantRagged(const std::string& column, DType dtype);
  // Nobody else may want the column.
  Status WantSparse(const std::string& column, DType dtype);

  void Finish();

  // [batch, length], as wanted with the same arguments.
  GraphTensor Dense(const std::string& column, int length, float fill, int64_t fill_id);
  RaggedColumn Ragged(const std::string& column) const;
  SparseColumn Sparse(const std::string& column) const;

 private:
  enum class Form { kDense, kRagged, kSparse };
  struct Column {
    Form form = Form::kDense;
    DType dtype = DType::kFloat;
    int length = 1;
    float fill = 0;
    int64_t fill_id = 0;
    int place = 0;  // among the columns of its form
  };

  Status Want(const std::string& name, const Column& wanted);
  GraphTensor Fill(const std::string& column, DType dtype, const Shape& shape, float fill,
                   int64_t fill_id);
  int Count(Form form) const;
  GraphTensor Output(int index, DType dtype) const;

  GraphBuilder* const graph_;
  const GraphTensor examples_;
  std::map<std::string, Column> columns_;
  GraphTensor node_;
};

}  // namespace capstan
