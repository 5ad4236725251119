#include "data/record_parser.h"

#include <bit>
#include <cmath>

#include "data/float_transform.h"
#include "data/record_fields.h"

namespace capstan {
namespace {

// Records lie scattered in a permuted block: their first cache lines are asked for so many ahead.
constexpr size_t kPrefetchRecords = 12;
constexpr size_t kPrefetchBytes = 1024;
constexpr size_t kCacheLineBytes = 64;

void Prefetch(std::string_view bytes) {
  const size_t n = std::min(bytes.size(), kPrefetchBytes);
  for (size_t i = 0; i < n; i += kCacheLineBytes) __builtin_prefetch(bytes.data() + i);
}

bool IsFinite(float x) { return (std::bit_cast<uint32_t>(x) & 0x7f800000u) != 0x7f800000u; }

bool AllFinite(const float* x, size_t n) {
  uint32_t bad = 0;
  for (size_t i = 0; i < n; ++i) bad |= static_cast<uint32_t>(!IsFinite(x[i]));
  return bad == 0;
}

std::string TitleOf(const FeatureSpec& feature) {
  const std::string& column = ColumnOf(feature);
  if (column == feature.name) return fmt::format("feature '{}'", feature.name);
  return fmt::format("feature '{}' (column '{}')", feature.name, column);
}

Status InFeature(const FeatureSpec& feature, const Status& status) {
  return MakeStatus(status.code(), TitleOf(feature) + " " + Message(status));
}

Status WrongCount(size_t found, size_t wanted) {
  return Error("has {} values, wanted {}", found, wanted);
}

Status OutsideSize(const FeatureSpec& feature, int64_t id) {
  return Error("has id {}, which is outside [0, {})", id, feature.size);
}

template <typename Fields>
class RowParser : public RecordParser {
 public:
  RowParser(const RowPlan& plan, const TextLayout& layout)
      : plan_(plan), fields_(plan, layout), transform_(plan.spec) {}

  void Parse(std::span<const RawRecord> records, bool stop_at_bad, Batch* batch,
             std::vector<BadRow>* bad) override {
    Begin(records.size(), batch);
    for (size_t i = 0; i < records.size(); ++i) {
      if (i + kPrefetchRecords < records.size()) Prefetch(records[i + kPrefetchRecords].bytes);
      Status status = ParseRow(records[i], batch);
      if (status.ok()) {
        ++batch->size;
        continue;
      }
      RollBack(batch);
      bad->push_back({static_cast<int>(i), std::move(status)});
      if (stop_at_bad) break;
    }
    End(batch);
  }

 private:
  void Begin(size_t rows, Batch* batch);
  void RollBack(Batch* batch);
  void End(Batch* batch);
  Status ParseRow(const RawRecord& record, Batch* batch);
  Status ParseFloats(Batch* batch);
  Status FillFloat(const RowPlan::Float& plan, float* values);
  Status NotFinite(const float* dense) const;
  Status ParseCategory(const RowPlan::Category& plan, Batch* batch);
  Status ParseOne(const RowPlan::Category& plan, uint64_t* key);
  Status OneId(const RowPlan::Category& plan, uint64_t* key);
  Status OneString(const RowPlan::Category& plan, uint64_t* key);
  Status OneBucket(const RowPlan::Category& plan, uint64_t* key);
  uint64_t KeyOf(const RowPlan::Category& plan, std::string_view word) const;
  uint64_t CrossKey(const RowPlan::Category& plan, const Batch& batch);
  Status ParseMany(const RowPlan::Category& plan, KeyColumn* column);
  Status ParseWeights(const RowPlan::Category& plan, KeyColumn* column);
  Status ParseLabel(float* label);
  Status ParseExtras(Batch* batch);

  const RowPlan& plan_;
  Fields fields_;
  const FloatTransform transform_;
  std::vector<float> floats_;
  std::vector<int64_t> ints_;
  std::vector<std::string_view> strings_;
  std::vector<std::string_view> kept_;  // [category]: the string, for crosses
  CrossText cross_;
};

template <typename Fields>
void RowParser<Fields>::Begin(size_t rows, Batch* batch) {
  batch->size = 0;
  batch->dense.resize(rows * plan_.dense_width);
  batch->labels.resize(rows);
  batch->example_weights.resize(plan_.example_weight >= 0 ? rows : 0);
  batch->groups.resize(plan_.group >= 0 ? rows : 0);
  batch->ids.resize(rows * plan_.id_columns.size());
  batch->columns.resize(plan_.categories.size());
  kept_.resize(plan_.categories.size());
  for (const RowPlan::Category& category : plan_.categories) {
    KeyColumn& column = batch->columns[category.index];
    const bool many = category.feature->multi_valued;
    column.keys.resize(many ? 0 : rows);
    column.offsets.assign(many ? 1 : 0, 0);
    column.weights.clear();
  }
}

// Takes back what a bad row left in the columns that grow; fixed ones are overwritten.
template <typename Fields>
void RowParser<Fields>::RollBack(Batch* batch) {
  for (KeyColumn& column : batch->columns) {
    if (column.offsets.empty()) continue;
    column.offsets.resize(batch->size + 1);
    column.keys.resize(column.offsets.back());
    if (!column.weights.empty()) column.weights.resize(column.offsets.back());
  }
}

template <typename Fields>
void RowParser<Fields>::End(Batch* batch) {
  const auto rows = static_cast<size_t>(batch->size);
  batch->dense.resize(rows * plan_.dense_width);
  batch->labels.resize(rows);
  if (plan_.example_weight >= 0) batch->example_weights.resize(rows);
  if (plan_.group >= 0) batch->groups.resize(rows);
  batch->ids.resize(rows * plan_.id_columns.size());
  for (KeyColumn& column : batch->columns) {
    if (column.offsets.empty()) column.keys.resize(rows);
  }
  transform_.Apply(rows, batch->dense.data());
}

template <typename Fields>
Status RowParser<Fields>::ParseRow(const RawRecord& record, Batch* batch) {
  if (record.damage != nullptr) return *record.damage;
  RETURN_IF_ERROR(fields_.Split(record.bytes));
  RETURN_IF_ERROR(ParseFloats(batch));
  for (const RowPlan::Category& category : plan_.categories) {
    RETURN_IF_ERROR(ParseCategory(category, batch));
  }
  RETURN_IF_ERROR(ParseLabel(&batch->labels[batch->size]));
  return ParseExtras(batch);
}

template <typename Fields>
Status RowParser<Fields>::ParseFloats(Batch* batch) {
  const size_t width = plan_.dense_width;
  float* const dense = batch->dense.data() + batch->size * width;
  for (const RowPlan::Float& plan : plan_.floats) {
    float* const values = dense + plan.offset;
    const int length = plan.feature->length;
    const bool done = length == 1 ? fields_.OneFloat(plan.column, values)
                                  : fields_.ManyFloats(plan.column, length, values);
    if (!done) RETURN_IF_ERROR(FillFloat(plan, values));
  }
  return AllFinite(dense, width) ? OkStatus() : NotFinite(dense);
}

template <typename Fields>
Status RowParser<Fields>::FillFloat(const RowPlan::Float& plan, float* values) {
  const auto length = static_cast<size_t>(plan.feature->length);
  if (fields_.Missing(plan.column)) {
    std::fill_n(values, length, plan.feature->default_value);
    return OkStatus();
  }
  floats_.clear();
  const Status status = fields_.Floats(plan.column, &floats_);
  if (!status.ok()) return InFeature(*plan.feature, status);
  if (floats_.size() != length) {
    return InFeature(*plan.feature, WrongCount(floats_.size(), length));
  }
  std::copy(floats_.begin(), floats_.end(), values);
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::NotFinite(const float* dense) const {
  for (const RowPlan::Float& plan : plan_.floats) {
    for (int i = 0; i < plan.feature->length; ++i) {
      const float x = dense[plan.offset + i];
      if (IsFinite(x)) continue;
      const std::string place =
          plan.feature->length == 1 ? std::string() : fmt::format(" in element {}", i);
      return InFeature(*plan.feature, Error("is {}{}, wanted a finite number", x, place));
    }
  }
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::ParseCategory(const RowPlan::Category& plan, Batch* batch) {
  KeyColumn& column = batch->columns[plan.index];
  if (plan.column < 0) {
    column.keys[batch->size] = CrossKey(plan, *batch);
    return OkStatus();
  }
  if (!plan.feature->multi_valued) {
    const Status status = ParseOne(plan, &column.keys[batch->size]);
    return status.ok() ? status : InFeature(*plan.feature, status);
  }
  Status status = ParseMany(plan, &column);
  if (status.ok() && plan.weights_column >= 0) status = ParseWeights(plan, &column);
  return status.ok() ? status : InFeature(*plan.feature, status);
}

template <typename Fields>
Status RowParser<Fields>::ParseOne(const RowPlan::Category& plan, uint64_t* key) {
  switch (plan.feature->type) {
    case FeatureType::kId:
      return OneId(plan, key);
    case FeatureType::kHash:
    case FeatureType::kVocabulary:
      return OneString(plan, key);
    case FeatureType::kBucket:
      return OneBucket(plan, key);
    default:
      return OkStatus();
  }
}

template <typename Fields>
Status RowParser<Fields>::OneId(const RowPlan::Category& plan, uint64_t* key) {
  int64_t id = 0;
  if (!fields_.OneInt(plan.column, &id)) {
    if (fields_.Missing(plan.column)) {
      id = plan.feature->default_id;
    } else {
      ints_.clear();
      RETURN_IF_ERROR(fields_.Ints(plan.column, &ints_));
      if (ints_.size() != 1) return WrongCount(ints_.size(), 1);
      id = ints_[0];
    }
  }
  const int64_t size = plan.feature->size;
  if (size > 0 && static_cast<uint64_t>(id) >= static_cast<uint64_t>(size)) {
    return OutsideSize(*plan.feature, id);
  }
  *key = static_cast<uint64_t>(id);
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::OneString(const RowPlan::Category& plan, uint64_t* key) {
  std::string_view word;
  if (!fields_.OneString(plan.column, &word) && !fields_.Missing(plan.column)) {
    strings_.clear();
    RETURN_IF_ERROR(fields_.Strings(plan.column, &strings_));
    if (strings_.size() != 1) return WrongCount(strings_.size(), 1);
    word = strings_[0];
  }
  *key = KeyOf(plan, word);
  if (plan.keeps_string) kept_[plan.index] = word;
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::OneBucket(const RowPlan::Category& plan, uint64_t* key) {
  float x = plan.feature->default_value;
  if (!fields_.OneFloat(plan.column, &x) && !fields_.Missing(plan.column)) {
    floats_.clear();
    RETURN_IF_ERROR(fields_.Floats(plan.column, &floats_));
    if (floats_.size() != 1) return WrongCount(floats_.size(), 1);
    x = floats_[0];
  }
  if (!IsFinite(x)) return Error("is {}, wanted a finite number", x);
  *key = BucketOf(x, plan.feature->boundaries);
  return OkStatus();
}

template <typename Fields>
uint64_t RowParser<Fields>::KeyOf(const RowPlan::Category& plan, std::string_view word) const {
  return plan.vocabulary != nullptr ? plan.vocabulary->KeyOf(word)
                                    : HashBucket(word, plan.feature->buckets);
}

template <typename Fields>
uint64_t RowParser<Fields>::CrossKey(const RowPlan::Category& plan, const Batch& batch) {
  cross_.Clear();
  for (size_t i = 0; i < plan.parts.size(); ++i) {
    const int part = plan.parts[i];
    if (plan.part_is_string[i]) {
      cross_.AddString(kept_[part]);
    } else {
      cross_.AddKey(batch.columns[part].keys[batch.size]);
    }
  }
  return HashBucket(cross_.text(), plan.feature->buckets);
}

template <typename Fields>
Status RowParser<Fields>::ParseMany(const RowPlan::Category& plan, KeyColumn* column) {
  const FeatureSpec& feature = *plan.feature;
  if (feature.type == FeatureType::kId) {
    ints_.clear();
    RETURN_IF_ERROR(fields_.Ints(plan.column, &ints_));
    const auto size = static_cast<uint64_t>(feature.size);
    for (const int64_t id : ints_) {
      if (size > 0 && static_cast<uint64_t>(id) >= size) return OutsideSize(feature, id);
      column->keys.push_back(static_cast<uint64_t>(id));
    }
  } else {
    strings_.clear();
    RETURN_IF_ERROR(fields_.Strings(plan.column, &strings_));
    for (const std::string_view word : strings_) column->keys.push_back(KeyOf(plan, word));
  }
  column->offsets.push_back(static_cast<uint32_t>(column->keys.size()));
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::ParseWeights(const RowPlan::Category& plan, KeyColumn* column) {
  const size_t before = column->weights.size();
  const Status status = fields_.Floats(plan.weights_column, &column->weights);
  if (!status.ok()) {
    return Error("has weights: column '{}' {}", plan.feature->weights, Message(status));
  }
  const size_t wanted = column->keys.size() - before;
  const size_t found = column->weights.size() - before;
  if (found != wanted) {
    return Error("has {} values and {} weights in '{}'", wanted, found, plan.feature->weights);
  }
  for (size_t i = before; i < column->weights.size(); ++i) {
    if (IsFinite(column->weights[i])) continue;
    return Error("has weight {} in '{}', wanted a finite number", column->weights[i],
                 plan.feature->weights);
  }
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::ParseLabel(float* label) {
  *label = 0.0f;
  if (plan_.label < 0 || !plan_.spec.wants_label) return OkStatus();
  const std::string& name = plan_.spec.label;
  if (fields_.Missing(plan_.label)) return Error("there is no label '{}'", name);
  const Status status = fields_.Number(plan_.label, label);
  if (!status.ok()) return MakeStatus(status.code(), "label '" + name + "' " + Message(status));
  const float x = *label;
  if (!IsFinite(x)) return Error("label '{}' is {}, wanted a finite number", name, x);
  const int classes = plan_.spec.classes;
  if (classes == 0) return OkStatus();
  if (x < 0 || x >= static_cast<float>(classes) || x != std::floor(x)) {
    return Error("label '{}' is {}, wanted a whole number in [0, {})", name, x, classes);
  }
  return OkStatus();
}

template <typename Fields>
Status RowParser<Fields>::ParseExtras(Batch* batch) {
  const size_t row = batch->size;
  if (plan_.example_weight >= 0) {
    float& weight = batch->example_weights[row];
    weight = 1.0f;
    if (!fields_.Missing(plan_.example_weight)) {
      const std::string& name = plan_.spec.example_weight;
      const Status status = fields_.Number(plan_.example_weight, &weight);
      if (!status.ok()) {
        return MakeStatus(status.code(), "weight '" + name + "' " + Message(status));
      }
      if (!IsFinite(weight) || weight < 0) {
        return Error("weight '{}' is {}, wanted a finite number of 0 or more", name, weight);
      }
    }
  }
  if (plan_.group >= 0) batch->groups[row] = fields_.GroupOf(plan_.group);
  for (size_t i = 0; i < plan_.id_columns.size(); ++i) {
    std::string& text = batch->ids[row * plan_.id_columns.size() + i];
    text.clear();
    fields_.AppendText(plan_.id_columns[i], &text);
  }
  return OkStatus();
}

}  // namespace

std::unique_ptr<RecordParser> NewRecordParser(const RowPlan& plan, const TextLayout& layout) {
  switch (layout.format) {
    case RecordFormat::kTfRecord:
      return std::make_unique<RowParser<ExampleFields>>(plan, layout);
    case RecordFormat::kLibsvm:
      return std::make_unique<RowParser<LibsvmFields>>(plan, layout);
    case RecordFormat::kCsv:
    case RecordFormat::kCriteo:
      return std::make_unique<RowParser<CsvFields>>(plan, layout);
  }
  return nullptr;
}

}  // namespace capstan
