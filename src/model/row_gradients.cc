#include "model/row_gradients.h"

#include <algorithm>

#include "model/feature_tables.h"
#include "tensor/row_ops.h"

namespace capstan {
namespace {

// The sums of one table while slices pass: each slice is summed in the scratch memory, which is all
// zeros between slices, then joins `out`. Free of branches that depend on the keys.
class SliceSums {
 public:
  SliceSums(int dim, int64_t rows, std::vector<float>* scratch, std::span<float> out)
      : dim_(dim), out_(out.data()), slice_of_(rows, kNone), touched_(rows + 1) {
    std::fill(out.begin(), out.end(), 0.0f);
    if (scratch->size() < out.size()) scratch->resize(out.size(), 0.0f);
    sums_ = scratch->data();
  }

  void BeginSlice(uint32_t slice) { slice_ = slice; }
  // Where gradients of `row` are added in this slice.
  float* Target(uint32_t row) {
    touched_[touched_count_] = row;
    touched_count_ += slice_of_[row] != slice_;
    slice_of_[row] = slice_;
    return sums_ + static_cast<int64_t>(row) * dim_;
  }
  void EndSlice() {
    DrainRows(std::span(touched_).first(touched_count_), dim_, sums_, out_);
    touched_count_ = 0;
  }

 private:
  static constexpr uint32_t kNone = ~0u;

  const int dim_;
  float* const out_;
  float* sums_;
  std::vector<uint32_t> slice_of_;  // by row: the last slice that touched it
  std::vector<uint32_t> touched_;   // rows of this slice
  size_t touched_count_ = 0;
  uint32_t slice_ = 0;
};

// A categorical feature of the table.
struct Column {
  int number = 0;
  const KeyColumn* keys = nullptr;
  const uint32_t* index = nullptr;
  int wide_part = -1, embedding_part = -1;
  int pooled_offset = -1;
  bool scaled = false;              // coefficients are not all 1 …
  std::vector<float> coefficients;  // … in this slice
  uint32_t first_value = 0;         // of the slice
};

// A part's pending additions.
struct Additions {
  int offset = 0, dim = 0;  // in a gradient row
  std::vector<float*> targets;
  std::vector<const float*> sources;
  std::vector<float> coefficients;
  bool scaled = false;
};

class TableMerge {
 public:
  TableMerge(const Model& model, int table, const Batch& batch, const BatchRows& rows,
             int64_t distinct_keys, std::vector<float>* scratch, std::span<float> out);

  void AddSlice(uint32_t number, const SliceGradients& slice);

 private:
  static constexpr size_t kChunk = 512;

  static int GradientDim(const TableSpec& table) {
    int dim = 0;
    for (const RowPart& part : table.parts) dim += part.dim;
    return dim;
  }
  void BeginColumn(const SliceGradients& slice, Column* column);
  void AddExample(const SliceGradients& slice, int example, const Column& column);
  void AddPart(int part, float* target, const float* source, const Column& column, uint32_t value);
  void AddPlainColumn(const SliceGradients& slice, const Column& column);
  void Flush();

  const Model& model_;
  const Batch& batch_;
  const int outputs_, pooled_width_;
  std::vector<Column> columns_;
  std::vector<Additions> parts_;
  std::vector<float*> targets_;
  SliceSums sums_;
};

TableMerge::TableMerge(const Model& model, int table, const Batch& batch, const BatchRows& rows,
                       int64_t distinct_keys, std::vector<float>* scratch, std::span<float> out)
    : model_(model),
      batch_(batch),
      outputs_(OutputCount(model.spec())),
      pooled_width_(model.pooled_width()),
      sums_(GradientDim(model.tables()[table]), distinct_keys, scratch, out) {
  int offset = 0, wide_part = -1, embedding_part = -1;
  for (const RowPart& part : model.tables()[table].parts) {
    (part.name == "wide" ? wide_part : embedding_part) = static_cast<int>(parts_.size());
    parts_.push_back({.offset = offset, .dim = part.dim});
    offset += part.dim;
  }
  int number = -1;
  for (const FeatureSpec& feature : model.spec().input.features) {
    if (!IsCategorical(feature)) continue;
    ++number;
    if (model.table_of(number) != table) continue;
    Column& column = columns_.emplace_back();
    column.number = number;
    column.keys = &batch.columns[number];
    column.index = rows.index[number];
    if (feature.wide && wide_part >= 0) column.wide_part = wide_part;
    column.pooled_offset = model.pooled_offset(number);
    if (column.pooled_offset >= 0) column.embedding_part = embedding_part;
  }
}

void TableMerge::BeginColumn(const SliceGradients& slice, Column* column) {
  int categorical = -1;
  for (const FeatureSpec& feature : model_.spec().input.features) {
    if (!IsCategorical(feature) || ++categorical != column->number) continue;
    column->scaled = PoolingCoefficients(feature.combiner, *column->keys, slice.begin, slice.end,
                                         &column->coefficients);
    break;
  }
  column->first_value =
      column->keys->offsets.empty() ? slice.begin : column->keys->offsets[slice.begin];
}

void TableMerge::AddSlice(uint32_t number, const SliceGradients& slice) {
  sums_.BeginSlice(number);
  bool scaled = false;
  for (Column& column : columns_) {
    BeginColumn(slice, &column);
    scaled |= column.scaled;
  }
  // One value per example, as most tables have them: no lists of pointers to sources.
  if (columns_.size() == 1 && columns_[0].keys->offsets.empty() && !scaled) {
    AddPlainColumn(slice, columns_[0]);
  } else {
    for (Additions& part : parts_) part.scaled = scaled;
    for (int example = slice.begin; example < slice.end; ++example) {
      for (const Column& column : columns_) AddExample(slice, example, column);
    }
    Flush();
  }
  sums_.EndSlice();
}

void TableMerge::AddExample(const SliceGradients& slice, int example, const Column& column) {
  const bool single = column.keys->offsets.empty();
  const uint32_t first = single ? example : column.keys->offsets[example];
  const uint32_t last = single ? example + 1 : column.keys->offsets[example + 1];
  const size_t local = example - slice.begin;
  const float* dlogits = slice.dlogits + local * outputs_;
  const float* pooled = nullptr;
  if (column.embedding_part >= 0) {
    pooled = slice.pooled + local * pooled_width_ + column.pooled_offset;
  }
  for (uint32_t value = first; value < last; ++value) {
    float* target = sums_.Target(column.index[value]);
    if (column.wide_part >= 0) AddPart(column.wide_part, target, dlogits, column, value);
    if (column.embedding_part >= 0) AddPart(column.embedding_part, target, pooled, column, value);
  }
}

void TableMerge::AddPart(int number, float* target, const float* source, const Column& column,
                         uint32_t value) {
  Additions& part = parts_[number];
  part.targets.push_back(target + part.offset);
  part.sources.push_back(source);
  if (part.scaled) {
    part.coefficients.push_back(column.scaled ? column.coefficients[value - column.first_value]
                                              : 1.0f);
  }
  if (part.targets.size() == kChunk) Flush();
}

void TableMerge::Flush() {
  for (Additions& part : parts_) {
    AddToRows(part.targets, part.sources, part.coefficients, part.dim);
    part.targets.clear();
    part.sources.clear();
    part.coefficients.clear();
  }
}

void TableMerge::AddPlainColumn(const SliceGradients& slice, const Column& column) {
  targets_.resize(slice.end - slice.begin);
  const uint32_t* index = column.index + slice.begin;
  for (size_t i = 0; i < targets_.size(); ++i) targets_[i] = sums_.Target(index[i]);
  int at = 0;
  const auto add = [&](int number, const float* source, int stride) {
    const Additions& part = parts_[number];
    for (float*& target : targets_) target += part.offset - at;
    at = part.offset;
    AddMatrixToRows(targets_, source, stride, part.dim);
  };
  if (column.wide_part >= 0) add(column.wide_part, slice.dlogits, outputs_);
  if (column.embedding_part >= 0) {
    add(column.embedding_part, slice.pooled + column.pooled_offset, pooled_width_);
  }
}

}  // namespace

void MergeRowGradients(const Model& model, int table, const Batch& batch, const BatchRows& rows,
                       std::span<const SliceGradients> slices, int64_t distinct_keys,
                       std::vector<float>* scratch, std::span<float> out) {
  TableMerge merge(model, table, batch, rows, distinct_keys, scratch, out);
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].begin < slices[i].end) merge.AddSlice(static_cast<uint32_t>(i), slices[i]);
  }
}

}  // namespace capstan
