// `capstan inspect` of checkpoints and of folders of them.
#include <bit>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/number_text.h"
#include "cli/inspect_parts.h"
#include "formats/checkpoint_state.h"
#include "formats/tensor_bundle.h"
#include "formats/tensor_bundle_reader.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
T Load(const char* p) {
  T value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}

float FromBfloat16(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

float FromHalf(uint16_t bits) {
  const int exponent = (bits >> 10) & 31;
  const auto mantissa = static_cast<float>(bits & 1023);
  float value = 0;
  if (exponent == 0) {
    value = mantissa * 0x1p-24f;
  } else if (exponent < 31) {
    value =
        std::bit_cast<float>(static_cast<uint32_t>(exponent + 112) << 23) * (1 + mantissa / 1024);
  } else {
    value = mantissa == 0 ? std::numeric_limits<float>::infinity()
                          : std::numeric_limits<float>::quiet_NaN();
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

// The element of a type that has a size, at `p`.
Json ElementAt(DType dtype, const char* p) {
  switch (dtype) {
    case DType::kFloat:
      return Load<float>(p);
    case DType::kDouble:
      return Load<double>(p);
    case DType::kHalf:
      return FromHalf(Load<uint16_t>(p));
    case DType::kBfloat16:
      return FromBfloat16(Load<uint16_t>(p));
    case DType::kInt8:
      return Load<int8_t>(p);
    case DType::kInt16:
      return Load<int16_t>(p);
    case DType::kInt32:
      return Load<int32_t>(p);
    case DType::kInt64:
      return Load<int64_t>(p);
    case DType::kUint8:
      return Load<uint8_t>(p);
    case DType::kUint16:
      return Load<uint16_t>(p);
    case DType::kUint32:
      return Load<uint32_t>(p);
    case DType::kUint64:
      return Load<uint64_t>(p);
    case DType::kBool:
      return Load<uint8_t>(p) != 0;
    case DType::kString:
    case DType::kInvalid:
      break;
  }
  return nullptr;
}

// The first `limit` values of a tensor, flat.
StatusOr<Json> ValuesOf(const TensorBundleReader& reader, const std::string& name, int64_t limit) {
  const TensorEntry* entry = reader.Find(name);
  if (entry == nullptr) return NotFoundError("tensor {} is not in {}", name, reader.prefix());
  Json values = Json::array();
  if (entry->dtype == DType::kString) {
    ASSIGN_OR_RETURN(const std::vector<std::string> strings, reader.ReadStrings(name));
    for (const std::string& value : strings) {
      if (static_cast<int64_t>(values.size()) >= limit) break;
      values.push_back(JsonText(value));
    }
    return values;
  }
  const size_t element_bytes = SizeOf(entry->dtype);
  std::string bytes(ElementCount(entry->shape) * element_bytes, '\0');
  RETURN_IF_ERROR(reader.Read(name, bytes));
  for (size_t i = 0; i < bytes.size() && static_cast<int64_t>(values.size()) < limit;
       i += element_bytes) {
    values.push_back(ElementAt(entry->dtype, bytes.data() + i));
  }
  return values;
}

std::vector<std::string> SplitCommas(const std::string& list) {
  std::vector<std::string> items;
  for (size_t start = 0; start < list.size();) {
    const size_t comma = std::min(list.find(',', start), list.size());
    if (comma > start) items.push_back(list.substr(start, comma - start));
    start = comma + 1;
  }
  return items;
}

// The values as lines of the last dimension.
std::string PrintValues(const Json& tensor) {
  const Json& values = tensor["values"];
  const Json& shape = tensor["shape"];
  const size_t line = shape.empty() ? 1 : std::max<size_t>(shape.back().get<size_t>(), 1);
  std::string text = fmt::format("{} {} {}:\n", tensor["name"].get<std::string>(),
                                 tensor["dtype"].get<std::string>(), shape.dump());
  for (size_t i = 0; i < values.size(); ++i) {
    text += i % line == 0 ? "  " : " ";
    text += values[i].is_string()         ? Printable(values[i].get<std::string>(), 1000)
            : values[i].is_number_float() ? ShortNumber(values[i])
                                          : values[i].dump();
    if (i % line + 1 == line || i + 1 == values.size()) text += "\n";
  }
  if (tensor["count"] > values.size()) {
    text += fmt::format("  … ({} values; --max_values shows more)\n", WithCommas(tensor["count"]));
  }
  return text;
}

StatusOr<Json> DescribeBundle(FileSystem& fs, const std::string& prefix,
                              const InspectOptions& options) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, prefix));
  Json json;
  json["shards"] = reader->shard_count();
  uint64_t bytes = 0;
  json["tensors"] = Json::array();
  for (const TensorEntry& entry : reader->entries()) {
    Json tensor;
    tensor["name"] = JsonText(entry.name);
    tensor["dtype"] = NameOf(entry.dtype);
    tensor["shape"] = entry.shape;
    tensor["bytes"] = entry.size_bytes;
    if (entry.partitioned) {
      tensor["partitioned"] = true;
    } else if (reader->shard_count() > 1) {
      tensor["shard"] = entry.shard;
    }
    bytes += entry.size_bytes;
    json["tensors"].push_back(std::move(tensor));
  }
  json["tensor_bytes"] = bytes;
  json["values"] = Json::array();
  for (const std::string& name : SplitCommas(options.values)) {
    ASSIGN_OR_RETURN(Json values, ValuesOf(*reader, name, options.max_values));
    const TensorEntry* entry = reader->Find(name);
    Json tensor;
    tensor["name"] = JsonText(name);
    tensor["dtype"] = NameOf(entry->dtype);
    tensor["shape"] = entry->shape;
    tensor["count"] = ElementCount(entry->shape);
    tensor["values"] = std::move(values);
    json["values"].push_back(std::move(tensor));
  }
  return json;
}

std::string PrintBundle(const Json& bundle) {
  const auto shards = bundle["shards"].get<int>();
  std::string text =
      fmt::format("{} tensors, {} bytes in {} data file{}\n", WithCommas(bundle["tensors"].size()),
                  WithCommas(bundle["tensor_bytes"]), shards, shards == 1 ? "" : "s");
  std::vector<std::vector<std::string>> rows = {{"tensor", "dtype", "shape", "bytes", ""}};
  for (const Json& tensor : bundle["tensors"]) {
    rows.push_back({tensor["name"], tensor["dtype"], tensor["shape"].dump(),
                    WithCommas(tensor["bytes"]),
                    tensor.contains("partitioned") ? "partitioned"
                    : tensor.contains("shard")     ? "shard " + tensor["shard"].dump()
                                                   : ""});
  }
  if (rows.size() > 1) text += AlignColumns(rows);
  for (const Json& tensor : bundle["values"]) text += PrintValues(tensor);
  return text;
}

StatusOr<Json> DescribeCheckpointFolder(FileSystem& fs, const std::string& folder,
                                        const InspectOptions& options) {
  ASSIGN_OR_RETURN(const CheckpointState state, ReadCheckpointState(fs, folder));
  Json json;
  json["newest"] = JsonText(state.newest);
  json["all"] = Json::array();
  for (const std::string& name : state.all) {
    const std::string prefix = name.starts_with('/') ? name : JoinPath(folder, name);
    Json checkpoint;
    checkpoint["name"] = JsonText(name);
    checkpoint["exists"] = fs.Exists(BundleIndexPath(prefix));
    json["all"].push_back(std::move(checkpoint));
  }
  ASSIGN_OR_RETURN(const std::string newest, LatestCheckpoint(fs, folder));
  ASSIGN_OR_RETURN(json["checkpoint"], DescribeBundle(fs, newest, options));
  return json;
}

std::string PrintCheckpointFolder(const Json& folder) {
  std::string text =
      fmt::format("{} checkpoint{}\n", folder["all"].size(), folder["all"].size() == 1 ? "" : "s");
  for (const Json& checkpoint : folder["all"]) {
    text += "  " + checkpoint["name"].get<std::string>();
    text += checkpoint["exists"].get<bool>() ? "\n" : " (its files are gone)\n";
  }
  return text + fmt::format("the newest, {}: ", folder["newest"].get<std::string>()) +
         PrintBundle(folder["checkpoint"]);
}

}  // namespace

StatusOr<std::string> InspectBundle(FileSystem& fs, const std::string& prefix,
                                    const InspectOptions& options) {
  ASSIGN_OR_RETURN(const Json bundle, DescribeBundle(fs, prefix, options));
  return options.json ? bundle.dump() : PrintBundle(bundle);
}

StatusOr<std::string> InspectCheckpointFolder(FileSystem& fs, const std::string& folder,
                                              const InspectOptions& options) {
  ASSIGN_OR_RETURN(const Json json, DescribeCheckpointFolder(fs, folder, options));
  return options.json ? json.dump() : PrintCheckpointFolder(json);
}

}  // namespace capstan
