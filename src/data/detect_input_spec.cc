// A spec for users who gave none.
#include <algorithm>

#include "data/batch_stream.h"
#include "data/input_format.h"
#include "data/record_schema.h"

namespace capstan {
namespace {

FeatureSpec FloatVector(const std::string& name, int64_t length) {
  FeatureSpec feature;
  feature.name = feature.column = name;
  feature.length = static_cast<int>(length);
  return feature;
}

FeatureSpec WeightedIds() {
  FeatureSpec feature;
  feature.name = feature.column = feature.table = "ids";
  feature.type = FeatureType::kId;
  feature.multi_valued = true;
  feature.weights = "values";
  return feature;
}

FeatureSpec Named(const SeenColumn& column) {
  if (column.kind == SeenColumn::Kind::kFloat) return FloatVector(column.name, column.max_values);
  FeatureSpec feature;
  feature.name = feature.column = feature.table = column.name;
  feature.type = column.kind == SeenColumn::Kind::kInt64 ? FeatureType::kId : FeatureType::kHash;
  feature.multi_valued = column.min_values != 1 || column.max_values != 1;
  return feature;
}

bool Has(const std::vector<SeenColumn>& columns, const std::string& name) {
  return std::any_of(columns.begin(), columns.end(),
                     [&](const SeenColumn& column) { return column.name == name; });
}

// The 2018 forms first; else every feature on its own.
InputSpec SpecOfExamples(const std::vector<SeenColumn>& columns) {
  InputSpec spec;
  if (Has(columns, "ids") && Has(columns, "values")) {
    spec.features.push_back(WeightedIds());
    return spec;
  }
  for (const SeenColumn& column : columns) {
    if (column.name == "features" && column.kind == SeenColumn::Kind::kFloat) {
      spec.features = {FloatVector(column.name, column.max_values)};
      return spec;
    }
    if (column.name != spec.label) spec.features.push_back(Named(column));
  }
  return spec;
}

InputSpec SpecOfCriteo() {
  InputSpec spec;
  for (int i = 1; i <= 13; ++i) {
    spec.features.push_back(FloatVector(fmt::format("I{}", i), 1));
    spec.features.back().log1p = true;
  }
  for (int i = 1; i <= 26; ++i) {
    FeatureSpec feature;
    feature.name = feature.column = feature.table = fmt::format("C{}", i);
    feature.type = FeatureType::kHash;
    spec.features.push_back(feature);
  }
  return spec;
}

bool IsIdName(const std::string& name) {
  return name.size() == 2 && (name[0] | 0x20) == 'i' && (name[1] | 0x20) == 'd';
}

// With a header: the label is "label", else "target", else the last column; a column "id" is
// carried along. Numbers without names: one vector.
InputSpec SpecOfCsv(const InputSample& sample, const std::vector<SeenColumn>& columns) {
  InputSpec spec;
  const InputFormat& format = sample.format;
  if (format.names.empty()) {
    spec.csv_label = FindLabelColumn(sample, 0) == 0 ? "first" : "last";
    spec.features.push_back(FloatVector("features", format.columns - 1));
    return spec;
  }
  const auto has = [&](const char* name) {
    return std::find(format.names.begin(), format.names.end(), name) != format.names.end();
  };
  spec.label = has("label") ? "label" : has("target") ? "target" : format.names.back();
  bool all_numbers = true;
  for (const std::string& name : format.names) {
    if (name != spec.label && IsIdName(name)) spec.id_columns.push_back(name);
  }
  const auto is_feature = [&](const std::string& name) {
    return name != spec.label && !IsIdName(name);
  };
  for (const SeenColumn& column : columns) {
    if (!is_feature(column.name)) continue;
    all_numbers &= column.kind != SeenColumn::Kind::kString && column.max_values == 1;
  }
  if (!all_numbers) {
    for (const SeenColumn& column : columns) {
      if (is_feature(column.name)) spec.features.push_back(Named(column));
    }
    return spec;
  }
  const auto count = std::count_if(format.names.begin(), format.names.end(), is_feature);
  spec.features.push_back(FloatVector("features", count));
  return spec;
}

}  // namespace

StatusOr<InputSpec> DetectInputSpec(FileSystem& fs, const std::vector<std::string>& paths,
                                    const std::string& format) {
  if (paths.empty()) return Error("there are no files to read");
  ASSIGN_OR_RETURN(const InputSample sample, LookAtInput(fs, paths[0], format, {}));
  const std::vector<SeenColumn> columns = SeenColumns(sample);
  InputSpec spec;
  switch (sample.format.format) {
    case RecordFormat::kTfRecord:
      spec = SpecOfExamples(columns);
      break;
    case RecordFormat::kLibsvm:
      spec.features.push_back(WeightedIds());
      break;
    case RecordFormat::kCriteo:
      spec = SpecOfCriteo();
      break;
    case RecordFormat::kCsv:
      spec = SpecOfCsv(sample, columns);
      break;
  }
  if (spec.features.empty() ||
      (spec.features[0].type == FeatureType::kFloat && spec.features[0].length < 1)) {
    if (sample.records.empty() && !sample.damage.ok()) return sample.damage;
    return Error("read {}: its first records have no features", paths[0]);
  }
  return spec;
}

}  // namespace capstan
