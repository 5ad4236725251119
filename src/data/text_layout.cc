#include "data/text_layout.h"

#include <algorithm>
#include <numeric>

#include "base/nearest.h"

namespace capstan {
namespace {

// "a, b, c", cut after some.
std::string ListOf(const std::vector<std::string>& names) {
  constexpr size_t kShown = 12;
  std::string text;
  for (size_t i = 0; i < names.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kShown) text += fmt::format(" … ({} in all)", names.size());
  return text;
}

Status NoSuchColumn(const std::string& path, const std::string& column,
                    const std::vector<std::string>& names) {
  return Error("read {}: there is no column '{}', the file has {}{}", path, column, ListOf(names),
               NearestHint(column, names));
}

Status LayOutLibsvm(const RowPlan& plan, const std::string& path, TextLayout* layout) {
  static const std::vector<std::string> kNames = {"label", "ids", "values", "qid"};
  for (size_t i = 0; i < plan.columns.size(); ++i) {
    const auto found = std::find(kNames.begin(), kNames.end(), plan.columns[i]);
    if (static_cast<int>(i) == plan.label) {
      layout->libsvm.push_back(LibsvmPart::kLabel);
    } else if (found == kNames.end()) {
      return NoSuchColumn(path, plan.columns[i], kNames);
    } else {
      layout->libsvm.push_back(static_cast<LibsvmPart>(found - kNames.begin()));
    }
  }
  layout->has_label = true;
  return OkStatus();
}

class CsvLayOut {
 public:
  CsvLayOut(const RowPlan& plan, const InputSample& sample, const std::string& path,
            TextLayout* layout)
      : plan_(plan), sample_(sample), path_(path), layout_(layout) {
    used_.assign(layout->field_count, false);
    layout->fields.resize(plan.columns.size());
  }

  Status Run() {
    FindVector();
    RETURN_IF_ERROR(sample_.format.names.empty() ? PlaceWithoutNames() : PlaceByName());
    return FillVector();
  }

 private:
  // The only feature, when it is a float vector: it may stand for all columns without a role.
  void FindVector() {
    if (plan_.floats.size() == 1 && plan_.categories.empty()) vector_ = &plan_.floats[0];
  }

  Status PlaceWithoutNames() {
    if (vector_ == nullptr || plan_.columns.size() > (plan_.label >= 0 ? 2u : 1u)) {
      return Error(
          "read {}: a CSV file without header and no names for its columns (csv_columns) can only "
          "be read as a label and one float feature",
          path_);
    }
    const int length = vector_->feature->length;
    const int count = layout_->field_count;
    const bool fits = count == length + 1 || (count == length && !WantsLabel());
    if (!fits) {
      return Error("read {}: the first line has {} columns, wanted {} for feature '{}'{}", path_,
                   count, length, vector_->feature->name, WantsLabel() ? " and a label" : "");
    }
    if (count == length || plan_.label < 0) return OkStatus();
    const std::string& side = plan_.spec.csv_label;
    const int label = side == "first"  ? 0
                      : side == "last" ? count - 1
                                       : FindLabelColumn(sample_, plan_.spec.classes);
    Place(plan_.label, label);
    return OkStatus();
  }

  Status PlaceByName() {
    const std::vector<std::string>& names = sample_.format.names;
    for (size_t i = 0; i < plan_.columns.size(); ++i) {
      const auto found = std::find(names.begin(), names.end(), plan_.columns[i]);
      const int column = static_cast<int>(i);
      if (found != names.end()) {
        Place(column, static_cast<int>(found - names.begin()));
      } else if (column == plan_.label) {
        const std::string& side = plan_.spec.csv_label;
        if (!side.empty()) {
          Place(column, side == "first" ? 0 : layout_->field_count - 1);
        } else if (WantsLabel()) {
          return NoSuchColumn(path_, plan_.columns[i], names);
        }
      } else if (vector_ == nullptr || column != vector_->column) {
        return NoSuchColumn(path_, plan_.columns[i], names);
      }
    }
    return OkStatus();
  }

  bool WantsLabel() const { return plan_.label >= 0 && plan_.spec.wants_label; }

  void Place(int column, int field) {
    layout_->fields[column] = {field};
    used_[field] = true;
    if (column == plan_.label) layout_->has_label = true;
  }

  Status FillVector() {
    if (vector_ == nullptr || !layout_->fields[vector_->column].empty()) return OkStatus();
    std::vector<int>& fields = layout_->fields[vector_->column];
    for (int field = 0; field < layout_->field_count; ++field) {
      if (!used_[field]) fields.push_back(field);
    }
    const auto length = static_cast<size_t>(vector_->feature->length);
    if (fields.size() == length) return OkStatus();
    return Error(
        "read {}: there are {} columns besides those with another role, wanted {} for "
        "feature '{}'",
        path_, fields.size(), length, vector_->feature->name);
  }

  const RowPlan& plan_;
  const InputSample& sample_;
  const std::string& path_;
  TextLayout* const layout_;
  const RowPlan::Float* vector_ = nullptr;
  std::vector<bool> used_;
};

}  // namespace

std::vector<std::string> CriteoColumns() {
  std::vector<std::string> names = {"label"};
  for (int i = 1; i <= 13; ++i) names.push_back(fmt::format("I{}", i));
  for (int i = 1; i <= 26; ++i) names.push_back(fmt::format("C{}", i));
  return names;
}

StatusOr<TextLayout> MakeTextLayout(const RowPlan& plan, const InputSample& sample,
                                    const std::string& path) {
  const std::string& side = plan.spec.csv_label;
  if (!side.empty() && side != "first" && side != "last") {
    return Error("csv_label is '{}', wanted first or last", side);
  }
  TextLayout layout;
  layout.format = sample.format.format;
  layout.is_hex.assign(plan.columns.size(), false);
  switch (sample.format.format) {
    case RecordFormat::kTfRecord:
      break;
    case RecordFormat::kLibsvm:
      RETURN_IF_ERROR(LayOutLibsvm(plan, path, &layout));
      break;
    case RecordFormat::kCsv:
      layout.separator = sample.format.separator;
      layout.field_count = sample.format.columns;
      RETURN_IF_ERROR(CsvLayOut(plan, sample, path, &layout).Run());
      break;
    case RecordFormat::kCriteo: {
      const std::vector<std::string> names = CriteoColumns();
      layout.separator = '\t';
      layout.field_count = static_cast<int>(names.size());
      layout.has_label = true;
      for (size_t i = 0; i < plan.columns.size(); ++i) {
        const auto found = std::find(names.begin(), names.end(), plan.columns[i]);
        const bool is_label = static_cast<int>(i) == plan.label;
        if (found == names.end() && !is_label) return NoSuchColumn(path, plan.columns[i], names);
        layout.fields.push_back({is_label ? 0 : static_cast<int>(found - names.begin())});
        layout.is_hex[i] = !is_label && (*found)[0] == 'C';
      }
    }
  }
  return layout;
}

}  // namespace capstan
