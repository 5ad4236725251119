#include "data/input_report.h"

#include <algorithm>

#include "base/nearest.h"
#include "data/record_schema.h"
#include "data/text_fields.h"

namespace capstan {
namespace {

constexpr size_t kShownColumns = 8;

const char* NameOf(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return "";
    case Compression::kGzip:
      return "gzip";
    case Compression::kZlib:
      return "zlib";
  }
  return "";
}

const SeenColumn* Find(const std::vector<SeenColumn>& columns, const std::string& name) {
  for (const SeenColumn& column : columns) {
    if (column.name == name) return &column;
  }
  return nullptr;
}

std::string ColumnsText(const std::vector<SeenColumn>& columns, const std::string& label) {
  std::string text;
  size_t shown = 0, all = 0;
  for (const SeenColumn& column : columns) {
    if (column.name == label) continue;
    if (++all > kShownColumns) continue;
    text += fmt::format("{}{} {}", shown++ == 0 ? "" : ", ", column.name, TypeText(column));
  }
  if (all > shown) text += fmt::format(", … ({} in all)", all);
  return text;
}

// Whether the values of a text label are whole.
std::string TextLabelType(const RowPlan& plan, const TextLayout& layout,
                          const InputSample& sample) {
  if (!layout.has_label || plan.label < 0) return "none";
  FieldCutter cutter;
  for (const std::string& record : sample.records) {
    std::string_view text = record;
    if (layout.format == RecordFormat::kLibsvm) {
      text = text.substr(0, text.find_first_of(" \t"));
    } else {
      const auto& fields = cutter.Cut(record, layout.separator);
      const auto field = static_cast<size_t>(layout.fields[plan.label][0]);
      if (field >= fields.size()) continue;
      text = fields[field];
    }
    int64_t whole = 0;
    if (!Trimmed(text).empty() && !ParseInt(text, &whole)) return "float";
  }
  return "int64";
}

// A file with none of the columns asked for is another file, or its names are misspelt.
Status CheckAnyColumn(const RowPlan& plan, const std::vector<SeenColumn>& columns,
                      const std::string& path) {
  std::vector<std::string> names;
  for (const SeenColumn& column : columns) names.push_back(column.name);
  if (names.empty() || (plan.floats.empty() && plan.categories.empty())) return OkStatus();
  std::string first;
  const auto is_there = [&](int column) {
    if (column < 0) return false;
    if (first.empty()) first = plan.columns[column];
    return Find(columns, plan.columns[column]) != nullptr;
  };
  for (const RowPlan::Float& plan : plan.floats) {
    if (is_there(plan.column)) return OkStatus();
  }
  for (const RowPlan::Category& plan : plan.categories) {
    if (is_there(plan.column)) return OkStatus();
  }
  return Error(
      "read {}: its records have no feature '{}' nor any other that is wanted; they have {}"
      "{}",
      path, first, ColumnsText(columns, ""), NearestHint(first, names));
}

}  // namespace

StatusOr<InputReport> MakeInputReport(const RowPlan& plan, const TextLayout& layout,
                                      const InputSample& sample, const std::string& path) {
  InputReport report;
  report.format = Describe(sample.format);
  report.compression = NameOf(sample.format.compression);
  const std::vector<SeenColumn> columns = SeenColumns(sample);
  if (layout.format == RecordFormat::kTfRecord) {
    RETURN_IF_ERROR(CheckAnyColumn(plan, columns, path));
    const SeenColumn* label = Find(columns, plan.spec.label);
    report.label_type = label == nullptr                          ? "none"
                        : label->kind == SeenColumn::Kind::kFloat ? "float"
                                                                  : "int64";
  } else {
    report.label_type = TextLabelType(plan, layout, sample);
  }
  const std::string& label = plan.spec.label;
  if (report.label_type == "none" && plan.spec.wants_label && !label.empty()) {
    std::vector<std::string> names = sample.format.names;
    for (const SeenColumn& column : columns) names.push_back(column.name);
    return Error("read {}: its first records have no label '{}'; they have {}{}", path, label,
                 ColumnsText(columns, ""), NearestHint(label, names));
  }
  report.text = report.format;
  if (!report.compression.empty()) report.text += " (" + report.compression + ")";
  report.text += report.label_type == "none" ? ", no label" : ", label " + report.label_type;
  const std::string shown = columns.empty() ? fmt::format("{} columns", sample.format.columns)
                                            : ColumnsText(columns, plan.spec.label);
  if (!shown.empty()) report.text += ", features: " + shown;
  return report;
}

}  // namespace capstan
