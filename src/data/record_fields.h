// The columns of one record, for each format. All three have the same members, so that RowParser is
// compiled for each:
//
//   Status Split(record)          makes the record the current one
//   bool   Missing(c)             column c has no value in it
//   bool   OneFloat(c, &x)        exactly one value of that type, fast; false: anything else
//   bool   OneInt(c, &x), OneString(c, &s)
//   bool   ManyFloats(c, n, x)    exactly n values, fast; false: anything else
//   Status Floats(c, &values)     all values, appended; errors read on from a feature's name:
//   Status Ints, Strings          "is int64, wanted float"
//   Status Number(c, &x)          one number of any type (labels, weights)
//   void   AppendText(c, &text)   its values as text
//   uint64_t GroupOf(c)           equal for equal values
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/row_plan.h"
#include "data/text_fields.h"
#include "data/text_layout.h"
#include "formats/example_parser.h"

namespace capstan {

class ExampleFields {
 public:
  ExampleFields(const RowPlan& plan, const TextLayout& layout);

  // Features may be missing; but a record that has none of the plan's, and others, is of another
  // data set: an error.
  Status Split(std::string_view record) {
    RETURN_IF_ERROR(parser_.Parse(record, views_));
    for (const int c : feature_columns_) {
      if (!Missing(c)) return OkStatus();
    }
    return CheckForeign(record);
  }
  bool Missing(int c) const { return views_[c].kind == FeatureView::Kind::kMissing; }
  bool OneFloat(int c, float* x) const { return ReadOneFloat(views_[c], x); }
  bool OneInt(int c, int64_t* x) const { return ReadOneInt(views_[c], x); }
  bool OneString(int c, std::string_view* s) const { return ReadOneBytes(views_[c], s); }
  bool ManyFloats(int c, size_t n, float* x) const { return ReadFloats(views_[c], n, x); }
  Status Floats(int c, std::vector<float>* values) const;
  Status Ints(int c, std::vector<int64_t>* values) const;
  Status Strings(int c, std::vector<std::string_view>* values) const;
  Status Number(int c, float* x) const;
  void AppendText(int c, std::string* text) const;
  uint64_t GroupOf(int c) const;

 private:
  Status Check(int c, FeatureView::Kind wanted) const;
  Status CheckForeign(std::string_view record) const;

  const std::vector<std::string>& columns_;
  std::vector<int> feature_columns_;  // those of `columns_` that are features of the plan
  ExampleParser parser_;
  std::vector<FeatureView> views_;
};

// CSV and Criteo. A field may hold several values, with | between them; an empty one holds none.
class CsvFields {
 public:
  CsvFields(const RowPlan& plan, const TextLayout& layout) : layout_(layout) {}

  Status Split(std::string_view record);
  bool Missing(int c) const {
    const std::vector<int>& fields = layout_.fields[c];
    return fields.empty() || (fields.size() == 1 && Trimmed(Field(c)).empty());
  }
  bool OneFloat(int c, float* x) const { return IsOne(c) && ParseFloat(Field(c), x); }
  bool OneInt(int c, int64_t* x) const { return IsOne(c) && ToInt(c, Field(c), x); }
  bool OneString(int c, std::string_view* s) const {
    if (Missing(c)) return false;
    *s = Field(c);
    return true;
  }
  bool ManyFloats(int c, size_t n, float* x) const;
  Status Floats(int c, std::vector<float>* values) const;
  Status Ints(int c, std::vector<int64_t>* values) const;
  Status Strings(int c, std::vector<std::string_view>* values) const;
  Status Number(int c, float* x) const;
  void AppendText(int c, std::string* text) const;
  uint64_t GroupOf(int c) const;

 private:
  bool IsOne(int c) const { return layout_.fields[c].size() == 1; }
  std::string_view Field(int c) const { return (*values_)[layout_.fields[c][0]]; }
  bool ToInt(int c, std::string_view text, int64_t* x) const {
    return layout_.is_hex[c] ? ParseHex(text, x) : ParseInt(text, x);
  }

  const TextLayout& layout_;
  FieldCutter cutter_;
  const std::vector<std::string_view>* values_ = nullptr;
};

// "label id:value id:value … # comment"; "qid:7" before the ids is a group.
class LibsvmFields {
 public:
  LibsvmFields(const RowPlan& plan, const TextLayout& layout)
      : layout_(layout), minus_is_zero_(plan.spec.classes == 2) {}

  Status Split(std::string_view record);
  bool Missing(int c) const;
  bool OneFloat(int c, float* x) const;
  bool OneInt(int c, int64_t* x) const;
  bool OneString(int c, std::string_view* s) const { return false; }
  bool ManyFloats(int c, size_t n, float* x) const { return false; }
  Status Floats(int c, std::vector<float>* values) const;
  Status Ints(int c, std::vector<int64_t>* values) const;
  Status Strings(int c, std::vector<std::string_view>* values) const;
  Status Number(int c, float* x) const;
  void AppendText(int c, std::string* text) const;
  uint64_t GroupOf(int c) const { return static_cast<uint64_t>(qid_); }

 private:
  Status TakeWord(std::string_view word);

  const TextLayout& layout_;
  const bool minus_is_zero_;  // two classes: labels ±1 are 0 and 1
  float label_ = 0;
  int64_t qid_ = 0;
  bool has_qid_ = false;
  std::vector<int64_t> ids_;
  std::vector<float> values_;
};

}  // namespace capstan
