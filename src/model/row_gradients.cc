#include "model/row_gradients.h"

#include <algorithm>

#include "model/feature_tables.h"
#include "tensor/row_ops.h"
#include "tensor/vector_ops.h"

namespace capstan {
namespace {

constexpr uint32_t kNone = ~0u;

// The sums of one table while slices pass. A row's first slice is summed in `out` itself; of later
// slices there is a sum beside it, which joins when another slice comes: so each slice is a sum of
// its own.
class SliceSums {
 public:
  SliceSums(int dim, int64_t rows, std::vector<float>* scratch, std::span<float> out)
      : dim_(dim),
        out_(out.data()),
        scratch_(scratch),
        slice_of_(rows, kNone),
        spare_(rows, kNone) {
    std::fill(out.begin(), out.end(), 0.0f);
    scratch_->clear();
  }

  void BeginSlice(uint32_t slice) { slice_ = slice; }

  // Where gradients of `row` are added in this slice. Holds until the next call.
  // Pointers into the scratch memory would move as it grows: see Resolve.
  int64_t Place(uint32_t row) {
    if (slice_of_[row] != slice_) Enter(row);
    return spare_[row] == kNone ? static_cast<int64_t>(row) * dim_
                                : -1 - static_cast<int64_t>(spare_[row]) * dim_;
  }
  float* Resolve(int64_t place) {
    return place >= 0 ? out_ + place : scratch_->data() + (-1 - place);
  }

  void Finish() {
    for (size_t row = 0; row < spare_.size(); ++row) {
      if (spare_[row] != kNone) Join(static_cast<uint32_t>(row));
    }
  }

 private:
  void Join(uint32_t row) {
    AddTo(scratch_->data() + static_cast<int64_t>(spare_[row]) * dim_, dim_,
          out_ + static_cast<int64_t>(row) * dim_);
  }
  void Enter(uint32_t row) {
    if (slice_of_[row] != kNone) {
      if (spare_[row] == kNone) {
        spare_[row] = static_cast<uint32_t>(scratch_->size() / dim_);
        scratch_->resize(scratch_->size() + dim_, 0.0f);
      } else {
        Join(row);
        std::fill_n(scratch_->data() + static_cast<int64_t>(spare_[row]) * dim_, dim_, 0.0f);
      }
    }
    slice_of_[row] = slice_;
  }

  const int dim_;
  float* const out_;
  std::vector<float>* const scratch_;
  std::vector<uint32_t> slice_of_, spare_;
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
  std::vector<int64_t> places;
  std::vector<const float*> sources;
  std::vector<float> coefficients;
  bool scaled = false;
};

class TableMerge {
 public:
  TableMerge(const Model& model, int table, const Batch& batch, const BatchRows& rows,
             int64_t distinct_keys, std::vector<float>* scratch, std::span<float> out);

  void AddSlice(uint32_t number, const SliceGradients& slice);
  void Finish() { sums_.Finish(); }

 private:
  static constexpr size_t kChunk = 512;

  static int GradientDim(const TableSpec& table) {
    int dim = 0;
    for (const RowPart& part : table.parts) dim += part.dim;
    return dim;
  }
  void BeginColumn(const SliceGradients& slice, Column* column);
  void AddExample(const SliceGradients& slice, int example, const Column& column);
  void AddPart(int part, int64_t place, const float* source, const Column& column, uint32_t value);
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
  for (Additions& part : parts_) part.scaled = scaled;
  for (int example = slice.begin; example < slice.end; ++example) {
    for (const Column& column : columns_) AddExample(slice, example, column);
  }
  Flush();
}

void TableMerge::AddExample(const SliceGradients& slice, int example, const Column& column) {
  const bool single = column.keys->offsets.empty();
  const uint32_t first = single ? example : column.keys->offsets[example];
  const uint32_t last = single ? example + 1 : column.keys->offsets[example + 1];
  const size_t local = example - slice.begin;
  const float* dlogits = slice.dlogits + local * outputs_;
  const float* pooled = slice.pooled + local * pooled_width_ + column.pooled_offset;
  for (uint32_t value = first; value < last; ++value) {
    const int64_t place = sums_.Place(column.index[value]);
    if (column.wide_part >= 0) AddPart(column.wide_part, place, dlogits, column, value);
    if (column.embedding_part >= 0) AddPart(column.embedding_part, place, pooled, column, value);
  }
}

void TableMerge::AddPart(int number, int64_t place, const float* source, const Column& column,
                         uint32_t value) {
  Additions& part = parts_[number];
  part.places.push_back(place);
  part.sources.push_back(source);
  if (part.scaled) {
    part.coefficients.push_back(column.scaled ? column.coefficients[value - column.first_value]
                                              : 1.0f);
  }
  if (part.places.size() == kChunk) Flush();
}

void TableMerge::Flush() {
  for (Additions& part : parts_) {
    targets_.clear();
    for (const int64_t place : part.places) targets_.push_back(sums_.Resolve(place) + part.offset);
    AddToRows(targets_, part.sources, part.coefficients, part.dim);
    part.places.clear();
    part.sources.clear();
    part.coefficients.clear();
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
  merge.Finish();
}

}  // namespace capstan
