// `capstan inspect` of a TFRecord: how many records, which features with which values, the first
// ones.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/number_text.h"
#include "cli/inspect_parts.h"
#include "formats/digest.h"
#include "formats/example_parser.h"
#include "formats/tfrecord_reader.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

using Kind = FeatureView::Kind;
constexpr size_t kMaxShownValues = 20;  // of one feature of an example

// What is known of one feature after all records.
struct FeatureStatistics {
  uint64_t records = 0;
  std::map<std::string, uint64_t> kinds;  // "int64": in so many records
  uint64_t min_count = std::numeric_limits<uint64_t>::max();
  uint64_t max_count = 0;
  // Of numbers; of the lengths of bytes.
  uint64_t values = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  double sum = 0;
  uint64_t not_finite = 0;

  void AddCount(uint64_t count) {
    min_count = std::min(min_count, count);
    max_count = std::max(max_count, count);
  }
  void AddValue(double value) {
    ++values;
    if (!std::isfinite(value)) {
      ++not_finite;
      return;
    }
    min = std::min(min, value);
    max = std::max(max, value);
    sum += value;
  }

  Json ToJson(const std::string& name) const {
    Json json;
    json["name"] = JsonText(name);
    json["kinds"] = kinds;
    json["records"] = records;
    json["min_values"] = records == 0 ? 0 : min_count;
    json["max_values"] = max_count;
    if (values > not_finite) {
      json["min"] = min;
      json["max"] = max;
      json["mean"] = sum / static_cast<double>(values - not_finite);
    }
    if (not_finite > 0) json["not_finite"] = not_finite;
    return json;
  }
};

class RecordsDescriber {
 public:
  explicit RecordsDescriber(int64_t examples) : wanted_examples_(examples) {}

  void Add(std::string_view record) {
    ++records_;
    bytes_ += record.size();
    min_bytes_ = std::min<uint64_t>(min_bytes_, record.size());
    max_bytes_ = std::max<uint64_t>(max_bytes_, record.size());
    const bool shown = static_cast<int64_t>(examples_.size()) < wanted_examples_;
    Json example = Json::object();
    const StatusOr<std::vector<NamedFeature>> features = ListFeatures(record);
    bool good = features.ok();
    if (good) {
      for (const NamedFeature& feature : *features) {
        Json values = Json::array();
        good = good && AddFeature(feature, shown ? &values : nullptr);
        if (shown) example[JsonText(feature.name)] = std::move(values);
      }
    }
    if (!good) ++no_examples_;
    if (shown)
      examples_.push_back(good ? std::move(example) : Json(JsonText(record.substr(0, 200))));
  }

  Json ToJson() const {
    Json json;
    json["records"] = records_;
    json["payload_bytes"] = bytes_;
    json["min_record_bytes"] = records_ == 0 ? 0 : min_bytes_;
    json["max_record_bytes"] = max_bytes_;
    json["no_examples"] = no_examples_;
    json["features"] = Json::array();
    for (const auto& [name, feature] : features_) json["features"].push_back(feature.ToJson(name));
    json["examples"] = examples_;
    return json;
  }

 private:
  // False: the list is damaged. The first values go to `shown`, if it is not null.
  bool AddFeature(const NamedFeature& feature, Json* shown) {
    FeatureStatistics& statistics = features_[std::string(feature.name)];
    ++statistics.records;
    ++statistics.kinds[std::string(NameOf(feature.view.kind))];
    floats_.clear();
    ints_.clear();
    bytes_values_.clear();
    Status status;
    if (feature.view.kind == Kind::kFloat) status = AppendFloats(feature.view, &floats_);
    if (feature.view.kind == Kind::kInt64) status = AppendInts(feature.view, &ints_);
    if (feature.view.kind == Kind::kBytes) status = AppendBytes(feature.view, &bytes_values_);
    statistics.AddCount(floats_.size() + ints_.size() + bytes_values_.size());
    for (const float value : floats_) statistics.AddValue(value);
    for (const int64_t value : ints_) statistics.AddValue(static_cast<double>(value));
    for (const std::string_view value : bytes_values_) {
      statistics.AddValue(static_cast<double>(value.size()));
    }
    if (shown != nullptr) {
      for (const float value : floats_) shown->push_back(value);
      for (const int64_t value : ints_) shown->push_back(value);
      for (const std::string_view value : bytes_values_) shown->push_back(JsonText(value));
    }
    return status.ok();
  }

  const int64_t wanted_examples_;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;
  uint64_t min_bytes_ = std::numeric_limits<uint64_t>::max();
  uint64_t max_bytes_ = 0;
  uint64_t no_examples_ = 0;
  std::map<std::string, FeatureStatistics> features_;
  std::vector<Json> examples_;
  std::vector<float> floats_;
  std::vector<int64_t> ints_;
  std::vector<std::string_view> bytes_values_;
};

std::string CompressionName(Compression compression) {
  if (compression == Compression::kGzip) return "gzip";
  return compression == Compression::kZlib ? "zlib" : "none";
}

template <typename Sink>
Status ForEachRecord(FileSystem& fs, const std::string& path, Sink sink) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TfRecordReader> reader, TfRecordReader::Open(fs, path));
  std::string_view record;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
    if (!more) return OkStatus();
    sink(record);
  }
}

std::string CellOf(const Json& json, const char* key) {
  return json.contains(key) ? ShortNumber(json[key].get<double>()) : "";
}

std::string PrintFeatures(const Json& features) {
  std::vector<std::vector<std::string>> rows = {
      {"feature", "kind", "records", "values", "min", "max", "mean", ""}};
  bool lengths = false;
  for (const Json& feature : features) {
    std::string kinds;
    for (const auto& [kind, count] : feature["kinds"].items()) {
      kinds += (kinds.empty() ? "" : "+") + kind;
      lengths = lengths || kind == "bytes";
    }
    const auto low = feature["min_values"].get<uint64_t>();
    const auto high = feature["max_values"].get<uint64_t>();
    rows.push_back({feature["name"], kinds, WithCommas(feature["records"]),
                    low == high ? WithCommas(low) : fmt::format("{}..{}", low, high),
                    CellOf(feature, "min"), CellOf(feature, "max"), CellOf(feature, "mean"),
                    feature.contains("not_finite")
                        ? WithCommas(feature["not_finite"]) + " are NaN or infinite"
                        : ""});
  }
  return AlignColumns(rows) + (lengths ? "  (min, max, mean of bytes are lengths)\n" : "");
}

StatusOr<Json> DescribeRecords(FileSystem& fs, const std::string& path,
                               const InspectOptions& options) {
  RecordsDescriber describer(options.examples);
  RETURN_IF_ERROR(ForEachRecord(fs, path, [&](std::string_view record) { describer.Add(record); }));
  ASSIGN_OR_RETURN(const Compression compression, DetectCompression(fs, path));
  Json json;
  json["compression"] = CompressionName(compression);
  json.update(describer.ToJson());
  return json;
}

std::string PrintRecords(const Json& records) {
  std::string text = fmt::format("{} records, {} bytes", WithCommas(records["records"]),
                                 WithCommas(records["payload_bytes"]));
  if (records["records"] > 0) {
    text += fmt::format(" ({} to {} each)", WithCommas(records["min_record_bytes"]),
                        WithCommas(records["max_record_bytes"]));
  }
  if (records["compression"] != "none") text += ", " + records["compression"].get<std::string>();
  text += "\n";
  if (records["no_examples"] > 0) {
    text += fmt::format("  {} of them are no tf.Example\n", WithCommas(records["no_examples"]));
  }
  if (!records["features"].empty()) text += PrintFeatures(records["features"]);
  size_t number = 0;
  for (const Json& example : records["examples"]) {
    text += fmt::format("example {}:\n", ++number);
    if (!example.is_object()) {
      text += "  " + Printable(example.get<std::string>()) + "\n";
      continue;
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, values] : example.items()) {
      std::string cell;
      for (size_t i = 0; i < std::min(values.size(), kMaxShownValues); ++i) {
        if (i > 0) cell += " ";
        cell += values[i].is_string()         ? Printable(values[i].get<std::string>())
                : values[i].is_number_float() ? ShortNumber(values[i])
                                              : values[i].dump();
      }
      if (values.size() > kMaxShownValues) cell += fmt::format(" … ({} values)", values.size());
      rows.push_back({name, cell});
    }
    text += AlignColumns(rows);
  }
  return text;
}

}  // namespace

StatusOr<std::string> InspectRecords(FileSystem& fs, const std::string& path,
                                     const InspectOptions& options) {
  ASSIGN_OR_RETURN(const Json records, DescribeRecords(fs, path, options));
  return options.json ? records.dump() : PrintRecords(records);
}

StatusOr<std::string> DigestRecords(FileSystem& fs, const std::string& path) {
  Digest digest;
  RETURN_IF_ERROR(
      ForEachRecord(fs, path, [&](std::string_view record) { digest.AddText(record); }));
  return digest.Hex();
}

}  // namespace capstan
