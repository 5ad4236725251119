#include "data/record_schema.h"

#include <algorithm>

#include "data/text_fields.h"
#include "data/text_layout.h"
#include "formats/example_parser.h"

namespace capstan {
namespace {

constexpr size_t kLookedAt = 200;  // records

class Columns {
 public:
  void See(std::string_view name, SeenColumn::Kind kind, int64_t values) {
    auto found = std::find_if(seen_.begin(), seen_.end(),
                              [&](const SeenColumn& column) { return column.name == name; });
    if (found == seen_.end()) {
      seen_.push_back({std::string(name), kind, values, values, 1});
      return;
    }
    // Text: what is not always whole is a float, what is not always a number is a string.
    found->kind = std::max(found->kind, kind);
    found->min_values = std::min(found->min_values, values);
    found->max_values = std::max(found->max_values, values);
    ++found->records;
  }
  std::vector<SeenColumn> Take() { return std::move(seen_); }

 private:
  std::vector<SeenColumn> seen_;
};

void SeeExample(const std::string& record, Columns* columns) {
  const auto features = ListFeatures(record);
  if (!features.ok()) return;
  std::vector<float> floats;
  std::vector<int64_t> ints;
  std::vector<std::string_view> strings;
  for (const NamedFeature& feature : *features) {
    const FeatureView& view = feature.view;
    floats.clear();
    ints.clear();
    strings.clear();
    if (view.kind == FeatureView::Kind::kFloat && AppendFloats(view, &floats).ok()) {
      columns->See(feature.name, SeenColumn::Kind::kFloat, floats.size());
    } else if (view.kind == FeatureView::Kind::kInt64 && AppendInts(view, &ints).ok()) {
      columns->See(feature.name, SeenColumn::Kind::kInt64, ints.size());
    } else if (view.kind == FeatureView::Kind::kBytes && AppendBytes(view, &strings).ok()) {
      columns->See(feature.name, SeenColumn::Kind::kString, strings.size());
    }
  }
}

SeenColumn::Kind KindOfText(std::string_view text) {
  int64_t whole = 0;
  float number = 0;
  if (ParseInt(text, &whole)) return SeenColumn::Kind::kInt64;
  return ParseFloat(text, &number) ? SeenColumn::Kind::kFloat : SeenColumn::Kind::kString;
}

void SeeFields(const std::vector<std::string_view>& fields, const std::vector<std::string>& names,
               Columns* columns) {
  for (size_t i = 0; i < names.size() && i < fields.size(); ++i) {
    std::string_view field = fields[i];
    if (Trimmed(field).empty()) continue;
    int64_t values = 0;
    SeenColumn::Kind kind = SeenColumn::Kind::kInt64;
    for (bool last = false; !last; ++values) {
      const size_t end = std::min(field.find('|'), field.size());
      kind = std::max(kind, KindOfText(field.substr(0, end)));
      last = end == field.size();
      field.remove_prefix(last ? end : end + 1);
    }
    columns->See(names[i], kind, values);
  }
}

void SeeLibsvm(std::string_view line, Columns* columns) {
  line = Trimmed(line.substr(0, line.find('#')));
  const std::string_view label = line.substr(0, line.find_first_of(" \t"));
  columns->See("label", KindOfText(label), 1);
  const int64_t values = std::count(line.begin(), line.end(), ':');
  columns->See("ids", SeenColumn::Kind::kInt64, values);
  columns->See("values", SeenColumn::Kind::kFloat, values);
}

}  // namespace

std::string TypeText(const SeenColumn& column) {
  const char* kind = column.kind == SeenColumn::Kind::kInt64   ? "int64"
                     : column.kind == SeenColumn::Kind::kFloat ? "float"
                                                               : "bytes";
  if (column.min_values == column.max_values) return fmt::format("{}[{}]", kind, column.max_values);
  return fmt::format("{}[{}..{}]", kind, column.min_values, column.max_values);
}

std::vector<SeenColumn> SeenColumns(const InputSample& sample) {
  Columns columns;
  FieldCutter cutter;
  const bool is_criteo = sample.format.format == RecordFormat::kCriteo;
  const std::vector<std::string> names = is_criteo ? CriteoColumns() : sample.format.names;
  for (size_t i = 0; i < sample.records.size() && i < kLookedAt; ++i) {
    const std::string& record = sample.records[i];
    switch (sample.format.format) {
      case RecordFormat::kTfRecord:
        SeeExample(record, &columns);
        break;
      case RecordFormat::kLibsvm:
        SeeLibsvm(record, &columns);
        break;
      case RecordFormat::kCsv:
        SeeFields(cutter.Cut(record, sample.format.separator), names, &columns);
        break;
      case RecordFormat::kCriteo:
        SeeFields(cutter.Cut(record, '\t'), names, &columns);
        break;
    }
  }
  return columns.Take();
}

}  // namespace capstan
