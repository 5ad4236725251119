#include "data/record_fields.h"

#include <algorithm>

#include "data/category_key.h"

namespace capstan {
namespace {

// Long values are not worth a long message.
std::string Shown(std::string_view text) {
  constexpr size_t kShown = 40;
  if (text.size() <= kShown) return std::string(text);
  return std::string(text.substr(0, kShown)) + "…";
}

Status NoNumber(std::string_view text, const char* wanted) {
  return Error("is '{}', wanted {}", Shown(text), wanted);
}

// Calls take(value) for each of the values between | in a field; stops when that is false.
template <typename Take>
bool ForEachValue(std::string_view field, Take take) {
  for (;;) {
    const size_t end = std::min(field.find('|'), field.size());
    if (!take(field.substr(0, end))) return false;
    if (end == field.size()) return true;
    field.remove_prefix(end + 1);
  }
}

// Puts "a|b" together.
template <typename Value>
void AppendJoined(const std::vector<Value>& values, std::string* text) {
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text->push_back('|');
    fmt::format_to(std::back_inserter(*text), "{}", values[i]);
  }
}

}  // namespace

ExampleFields::ExampleFields(const RowPlan& plan, const TextLayout& layout)
    : columns_(plan.columns), parser_(plan.columns), views_(plan.columns.size()) {
  for (const RowPlan::Float& feature : plan.floats) feature_columns_.push_back(feature.column);
  for (const RowPlan::Category& feature : plan.categories) {
    if (feature.column >= 0) feature_columns_.push_back(feature.column);
  }
}

Status ExampleFields::CheckForeign(std::string_view record) const {
  if (feature_columns_.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<NamedFeature> features, ListFeatures(record));
  for (const NamedFeature& feature : features) {
    if (std::find(columns_.begin(), columns_.end(), feature.name) != columns_.end()) continue;
    return Error("has none of the model's features ('{}' …), but '{}'",
                 Shown(columns_[feature_columns_[0]]), Shown(feature.name));
  }
  return OkStatus();
}

Status ExampleFields::Check(int c, FeatureView::Kind wanted) const {
  const FeatureView::Kind kind = views_[c].kind;
  if (kind == wanted || kind == FeatureView::Kind::kMissing) return OkStatus();
  return Error("is {}, wanted {}", NameOf(kind), NameOf(wanted));
}

Status ExampleFields::Floats(int c, std::vector<float>* values) const {
  RETURN_IF_ERROR(Check(c, FeatureView::Kind::kFloat));
  return AppendFloats(views_[c], values);
}

Status ExampleFields::Ints(int c, std::vector<int64_t>* values) const {
  RETURN_IF_ERROR(Check(c, FeatureView::Kind::kInt64));
  return AppendInts(views_[c], values);
}

Status ExampleFields::Strings(int c, std::vector<std::string_view>* values) const {
  RETURN_IF_ERROR(Check(c, FeatureView::Kind::kBytes));
  return AppendBytes(views_[c], values);
}

Status ExampleFields::Number(int c, float* x) const {
  if (ReadOneFloat(views_[c], x)) return OkStatus();
  int64_t whole = 0;
  if (ReadOneInt(views_[c], &whole)) {
    *x = static_cast<float>(whole);
    return OkStatus();
  }
  // Not the usual form, or not one value.
  std::vector<float> floats;
  std::vector<int64_t> ints;
  if (views_[c].kind == FeatureView::Kind::kInt64) {
    RETURN_IF_ERROR(AppendInts(views_[c], &ints));
    floats.assign(ints.begin(), ints.end());
  } else {
    RETURN_IF_ERROR(Floats(c, &floats));
  }
  if (floats.size() != 1) return Error("has {} values, wanted 1", floats.size());
  *x = floats[0];
  return OkStatus();
}

void ExampleFields::AppendText(int c, std::string* text) const {
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> strings;
  // The text is for people and joins: what is damaged is left out.
  switch (views_[c].kind) {
    case FeatureView::Kind::kMissing:
      return;
    case FeatureView::Kind::kFloat:
      if (AppendFloats(views_[c], &floats).ok()) AppendJoined(floats, text);
      return;
    case FeatureView::Kind::kInt64:
      if (AppendInts(views_[c], &ints).ok()) AppendJoined(ints, text);
      return;
    case FeatureView::Kind::kBytes:
      if (AppendBytes(views_[c], &strings).ok()) AppendJoined(strings, text);
      return;
  }
}

uint64_t ExampleFields::GroupOf(int c) const {
  int64_t id = 0;
  if (ReadOneInt(views_[c], &id)) return static_cast<uint64_t>(id);
  std::string text;
  AppendText(c, &text);
  return Fingerprint(text);
}

Status CsvFields::Split(std::string_view record) {
  values_ = &cutter_.Cut(record, layout_.separator);
  if (static_cast<int>(values_->size()) == layout_.field_count) return OkStatus();
  return Error("the line has {} columns, wanted {}", values_->size(), layout_.field_count);
}

bool CsvFields::ManyFloats(int c, size_t n, float* x) const {
  const std::vector<int>& fields = layout_.fields[c];
  if (fields.size() != n || n == 1) return false;
  for (size_t i = 0; i < n; ++i) {
    if (!ParseFloat((*values_)[fields[i]], &x[i])) return false;
  }
  return true;
}

Status CsvFields::Floats(int c, std::vector<float>* values) const {
  if (Missing(c)) return OkStatus();
  for (const int field : layout_.fields[c]) {
    const std::string_view text = (*values_)[field];
    const bool good = ForEachValue(text, [&](std::string_view value) {
      float x = 0;
      if (!ParseFloat(value, &x)) return false;
      values->push_back(x);
      return true;
    });
    if (!good && layout_.fields[c].size() > 1) {
      return Error("is '{}' in column {}, wanted a number", Shown(text), field + 1);
    }
    if (!good) return NoNumber(text, "a number");
  }
  return OkStatus();
}

Status CsvFields::Ints(int c, std::vector<int64_t>* values) const {
  if (Missing(c)) return OkStatus();
  for (const int field : layout_.fields[c]) {
    const std::string_view text = (*values_)[field];
    const bool good = ForEachValue(text, [&](std::string_view value) {
      int64_t x = 0;
      if (!ToInt(c, value, &x)) return false;
      values->push_back(x);
      return true;
    });
    if (!good) {
      return NoNumber(text, layout_.is_hex[c] ? "a hexadecimal number" : "a whole number");
    }
  }
  return OkStatus();
}

Status CsvFields::Strings(int c, std::vector<std::string_view>* values) const {
  if (Missing(c)) return OkStatus();
  for (const int field : layout_.fields[c]) {
    ForEachValue((*values_)[field], [&](std::string_view value) {
      values->push_back(value);
      return true;
    });
  }
  return OkStatus();
}

Status CsvFields::Number(int c, float* x) const {
  return ParseFloat(Field(c), x) ? OkStatus() : NoNumber(Field(c), "a number");
}

void CsvFields::AppendText(int c, std::string* text) const {
  if (!Missing(c)) text->append(Field(c));
}

uint64_t CsvFields::GroupOf(int c) const { return Missing(c) ? 0 : Fingerprint(Field(c)); }

Status LibsvmFields::Split(std::string_view record) {
  ids_.clear();
  values_.clear();
  has_qid_ = false;
  qid_ = 0;
  record = Trimmed(record.substr(0, record.find('#')));
  size_t end = std::min(record.find_first_of(" \t"), record.size());
  if (!ParseFloat(record.substr(0, end), &label_)) {
    return Error("label {}", Message(NoNumber(record.substr(0, end), "a number")));
  }
  if (minus_is_zero_ && label_ == -1.0f) label_ = 0.0f;
  while (end < record.size()) {
    const size_t start = record.find_first_not_of(" \t", end);
    end = std::min(record.find_first_of(" \t", start), record.size());
    RETURN_IF_ERROR(TakeWord(record.substr(start, end - start)));
  }
  return OkStatus();
}

Status LibsvmFields::TakeWord(std::string_view word) {
  const size_t colon = word.find(':');
  if (colon != std::string_view::npos) {
    const std::string_view id = word.substr(0, colon);
    const std::string_view value = word.substr(colon + 1);
    if (id == "qid") {
      has_qid_ = ParseInt(value, &qid_);
      if (has_qid_) return OkStatus();
    } else {
      int64_t number = 0;
      float x = 0;
      if (ParseInt(id, &number) && ParseFloat(value, &x)) {
        ids_.push_back(number);
        values_.push_back(x);
        return OkStatus();
      }
    }
  }
  return Error("found '{}', wanted id:value", Shown(word));
}

bool LibsvmFields::Missing(int c) const {
  switch (layout_.libsvm[c]) {
    case LibsvmPart::kLabel:
      return false;
    case LibsvmPart::kIds:
    case LibsvmPart::kValues:
      return ids_.empty();
    case LibsvmPart::kQid:
      return !has_qid_;
    case LibsvmPart::kNone:
      return true;
  }
  return true;
}

bool LibsvmFields::OneFloat(int c, float* x) const {
  if (layout_.libsvm[c] != LibsvmPart::kValues || values_.size() != 1) return false;
  *x = values_[0];
  return true;
}

bool LibsvmFields::OneInt(int c, int64_t* x) const {
  const LibsvmPart part = layout_.libsvm[c];
  if (part == LibsvmPart::kQid && has_qid_) {
    *x = qid_;
    return true;
  }
  if (part != LibsvmPart::kIds || ids_.size() != 1) return false;
  *x = ids_[0];
  return true;
}

Status LibsvmFields::Floats(int c, std::vector<float>* values) const {
  if (layout_.libsvm[c] == LibsvmPart::kLabel) {
    values->push_back(label_);
  } else if (layout_.libsvm[c] == LibsvmPart::kValues) {
    values->insert(values->end(), values_.begin(), values_.end());
  } else {
    return Error("is an id, wanted a number");
  }
  return OkStatus();
}

Status LibsvmFields::Ints(int c, std::vector<int64_t>* values) const {
  if (layout_.libsvm[c] == LibsvmPart::kIds) {
    values->insert(values->end(), ids_.begin(), ids_.end());
  } else if (layout_.libsvm[c] == LibsvmPart::kQid) {
    if (has_qid_) values->push_back(qid_);
  } else {
    return Error("is a number, wanted an id");
  }
  return OkStatus();
}

Status LibsvmFields::Strings(int c, std::vector<std::string_view>* values) const {
  return Error("is no text in libsvm, wanted text");
}

Status LibsvmFields::Number(int c, float* x) const {
  if (layout_.libsvm[c] == LibsvmPart::kLabel) {
    *x = label_;
    return OkStatus();
  }
  return OneFloat(c, x) ? OkStatus() : Error("has {} values, wanted 1", values_.size());
}

void LibsvmFields::AppendText(int c, std::string* text) const {
  switch (layout_.libsvm[c]) {
    case LibsvmPart::kLabel:
      fmt::format_to(std::back_inserter(*text), "{}", label_);
      return;
    case LibsvmPart::kIds:
      return AppendJoined(ids_, text);
    case LibsvmPart::kValues:
      return AppendJoined(values_, text);
    case LibsvmPart::kQid:
      if (has_qid_) fmt::format_to(std::back_inserter(*text), "{}", qid_);
      return;
    case LibsvmPart::kNone:
      return;
  }
}

}  // namespace capstan
