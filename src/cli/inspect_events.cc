// `capstan inspect` of event files.
#include <fmt/chrono.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/number_text.h"
#include "cli/inspect_parts.h"
#include "formats/event_file.h"
#include "tensorflow/event.pb.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

struct ScalarSeries {
  uint64_t count = 0;
  int64_t first_step = 0;
  int64_t last_step = 0;
  double first = 0;
  double last = 0;
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();

  void Add(int64_t step, double value) {
    if (count++ == 0) {
      first_step = step;
      first = value;
    }
    last_step = step;
    last = value;
    min = std::min(min, value);
    max = std::max(max, value);
  }
};

// TensorFlow 1 writes simple_value, TensorFlow 2 a scalar tensor.
std::optional<float> ScalarOf(const tensorflow::Summary::Value& value) {
  if (value.value_case() == tensorflow::Summary::Value::kSimpleValue) return value.simple_value();
  if (value.value_case() != tensorflow::Summary::Value::kTensor) return std::nullopt;
  const tensorflow::TensorProto& tensor = value.tensor();
  if (tensor.dtype() != tensorflow::DT_FLOAT || tensor.tensor_shape().dim_size() != 0) {
    return std::nullopt;
  }
  if (tensor.float_val_size() > 0) return tensor.float_val(0);
  if (tensor.tensor_content().size() != sizeof(float)) return std::nullopt;
  float scalar = 0;
  std::memcpy(&scalar, tensor.tensor_content().data(), sizeof(scalar));
  return scalar;
}

struct EventSummary {
  uint64_t events = 0;
  uint64_t graphs = 0;
  std::string version;
  double first_time = 0;
  double last_time = 0;
  std::map<std::string, ScalarSeries> scalars;
  std::map<std::string, uint64_t> others;  // histograms, images, …: how many events

  void Add(const tensorflow::Event& event) {
    if (events++ == 0) first_time = event.wall_time();
    last_time = event.wall_time();
    if (event.what_case() == tensorflow::Event::kFileVersion) version = event.file_version();
    if (event.what_case() == tensorflow::Event::kGraphDef) ++graphs;
    for (const tensorflow::Summary::Value& value : event.summary().value()) {
      if (const std::optional<float> scalar = ScalarOf(value); scalar.has_value()) {
        scalars[value.tag()].Add(event.step(), *scalar);
      } else {
        ++others[value.tag()];
      }
    }
  }
};

std::string TimeText(double seconds) {
  if (!(seconds >= 0 && seconds < 1e11)) return ShortNumber(seconds);
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

StatusOr<Json> DescribeEvents(FileSystem& fs, const std::string& path) {
  EventSummary summary;
  RETURN_IF_ERROR(ReadEventFile(fs, path, [&](const tensorflow::Event& event) {
    summary.Add(event);
    return OkStatus();
  }));
  Json json;
  json["events"] = summary.events;
  json["version"] = summary.version;
  json["first_wall_time"] = summary.first_time;
  json["last_wall_time"] = summary.last_time;
  json["graphs"] = summary.graphs;
  json["scalars"] = Json::array();
  for (const auto& [tag, series] : summary.scalars) {
    Json scalar;
    scalar["tag"] = tag;
    scalar["count"] = series.count;
    scalar["first_step"] = series.first_step;
    scalar["first"] = series.first;
    scalar["last_step"] = series.last_step;
    scalar["last"] = series.last;
    scalar["min"] = series.min;
    scalar["max"] = series.max;
    json["scalars"].push_back(std::move(scalar));
  }
  json["others"] = summary.others;
  return json;
}

std::string PrintEvents(const Json& events) {
  std::string text = fmt::format("{} events", WithCommas(events["events"]));
  if (events["events"] > 0) {
    text += fmt::format(", {}, from {} to {}", events["version"].get<std::string>(),
                        TimeText(events["first_wall_time"]), TimeText(events["last_wall_time"]));
  }
  text += "\n";
  if (events["graphs"] > 0) text += fmt::format("  {} graphs\n", WithCommas(events["graphs"]));
  std::vector<std::vector<std::string>> rows = {
      {"scalar", "events", "first", "at step", "last", "at step", "min", "max"}};
  for (const Json& scalar : events["scalars"]) {
    rows.push_back({scalar["tag"], WithCommas(scalar["count"]), ShortNumber(scalar["first"]),
                    scalar["first_step"].dump(), ShortNumber(scalar["last"]),
                    scalar["last_step"].dump(), ShortNumber(scalar["min"]),
                    ShortNumber(scalar["max"])});
  }
  if (rows.size() > 1) text += AlignColumns(rows);
  for (const auto& [tag, count] : events["others"].items()) {
    text += fmt::format("  {}: {} events that are no scalars\n", tag, count.get<uint64_t>());
  }
  return text;
}

}  // namespace

StatusOr<std::string> InspectEvents(FileSystem& fs, const std::string& path,
                                    const InspectOptions& options) {
  ASSIGN_OR_RETURN(const Json events, DescribeEvents(fs, path));
  return options.json ? events.dump() : PrintEvents(events);
}

}  // namespace capstan
