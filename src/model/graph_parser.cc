#include "model/graph_parser.h"

namespace capstan {

Status GraphParser::WantDense(const std::string& column, DType dtype, int length, float fill,
                              int64_t fill_id) {
  return Want(column, {Form::kDense, dtype, length, fill, fill_id});
}

Status GraphParser::WantRagged(const std::string& column, DType dtype) {
  return Want(column, {.form = Form::kRagged, .dtype = dtype});
}

Status GraphParser::WantSparse(const std::string& column, DType dtype) {
  return Want(column, {.form = Form::kSparse, .dtype = dtype});
}

Status GraphParser::Want(const std::string& name, const Column& wanted) {
  const auto [it, added] = columns_.emplace(name, wanted);
  if (added) return OkStatus();
  Column& column = it->second;
  if (column.dtype != wanted.dtype) {
    return Error("column '{}' is read as {} by one feature and as {} by another", name,
                 NameOf(column.dtype), NameOf(wanted.dtype));
  }
  if (column.form == Form::kSparse || wanted.form == Form::kSparse) {
    return Error("column '{}' is read by two features, of which one wants it sparse", name);
  }
  const bool same = column.form == wanted.form && column.length == wanted.length &&
                    column.fill == wanted.fill && column.fill_id == wanted.fill_id;
  if (!same) column.form = Form::kRagged;
  return OkStatus();
}

int GraphParser::Count(Form form) const {
  int count = 0;
  for (const auto& [name, column] : columns_) count += column.form == form ? 1 : 0;
  return count;
}

GraphTensor GraphParser::Output(int index, DType dtype) const {
  return GraphBuilder::OutputOf(node_, index, dtype);
}

GraphTensor GraphParser::Fill(const std::string& column, DType dtype, const Shape& shape,
                              float fill, int64_t fill_id) {
  const std::string name = "parse/default/" + column;
  const auto count = static_cast<size_t>(ElementCount(shape));
  if (dtype == DType::kFloat) return graph_->Floats(name, shape, std::vector<float>(count, fill));
  if (dtype == DType::kInt64) {
    return graph_->Ints(name, shape, std::vector<int64_t>(count, fill_id));
  }
  return graph_->Strings(name, shape, std::vector<std::string>(count));
}

void GraphParser::Finish() {
  std::vector<std::string> sparse_keys, dense_keys, ragged_keys;
  std::vector<DType> sparse_types, dense_types, ragged_types, split_types;
  std::vector<Shape> dense_shapes;
  std::vector<GraphTensor> defaults;
  for (auto& [name, column] : columns_) {
    if (column.form == Form::kSparse) {
      column.place = static_cast<int>(sparse_keys.size());
      sparse_keys.push_back(name);
      sparse_types.push_back(column.dtype);
    } else if (column.form == Form::kRagged) {
      column.place = static_cast<int>(ragged_keys.size());
      ragged_keys.push_back(name);
      ragged_types.push_back(column.dtype);
      split_types.push_back(DType::kInt64);
    } else {
      column.place = static_cast<int>(dense_keys.size());
      dense_keys.push_back(name);
      dense_types.push_back(column.dtype);
      dense_shapes.push_back({column.length});
      defaults.push_back(
          Fill(name, column.dtype, dense_shapes.back(), column.fill, column.fill_id));
    }
  }
  const auto keys = [&](const char* name, const std::vector<std::string>& words) {
    return graph_->Strings(name, {static_cast<int64_t>(words.size())}, words);
  };
  std::vector<GraphTensor> inputs = {
      examples_, keys("parse/names", {}), keys("parse/sparse_keys", sparse_keys),
      keys("parse/dense_keys", dense_keys), keys("parse/ragged_keys", ragged_keys)};
  inputs.insert(inputs.end(), defaults.begin(), defaults.end());
  node_ = graph_->Add("ParseExampleV2", "parse", inputs,
                      {{"num_sparse", static_cast<int64_t>(sparse_keys.size())},
                       {"sparse_types", sparse_types},
                       {"Tdense", dense_types},
                       {"dense_shapes", dense_shapes},
                       {"ragged_value_types", ragged_types},
                       {"ragged_split_types", split_types}},
                      DType::kInvalid);
}

GraphTensor GraphParser::Dense(const std::string& column, int length, float fill, int64_t fill_id) {
  const Column& parsed = columns_.at(column);
  if (parsed.form == Form::kDense) {
    return Output(3 * Count(Form::kSparse) + parsed.place, parsed.dtype);
  }
  const RaggedColumn ragged = Ragged(column);
  const std::vector<int64_t> shape = {-1, length};
  return graph_->Add("RaggedTensorToTensor", "parse/dense/" + column,
                     {{graph_->Ints("parse/dense_shape/" + column, {2}, shape), ragged.values,
                       Fill(column, parsed.dtype, {}, fill, fill_id), ragged.row_splits}},
                     {{"T", parsed.dtype},
                      {"Tindex", DType::kInt64},
                      {"Tshape", DType::kInt64},
                      {"num_row_partition_tensors", int64_t{1}},
                      {"row_partition_types", std::vector<std::string>{"ROW_SPLITS"}}},
                     parsed.dtype);
}

RaggedColumn GraphParser::Ragged(const std::string& column) const {
  const Column& parsed = columns_.at(column);
  const int first = 3 * Count(Form::kSparse) + Count(Form::kDense);
  return {Output(first + parsed.place, parsed.dtype),
          Output(first + Count(Form::kRagged) + parsed.place, DType::kInt64)};
}

SparseColumn GraphParser::Sparse(const std::string& column) const {
  const Column& parsed = columns_.at(column);
  const int count = Count(Form::kSparse);
  return {Output(parsed.place, DType::kInt64), Output(count + parsed.place, parsed.dtype),
          Output(2 * count + parsed.place, DType::kInt64)};
}

}  // namespace capstan
