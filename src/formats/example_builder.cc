#include "formats/example_builder.h"

#include "formats/varint.h"

namespace capstan {
namespace {

constexpr char kLengthDelimited1 = 0x0a;  // field 1: features, map entry, key, list value
constexpr char kLengthDelimited2 = 0x12;  // field 2: map value

// Field numbers of the lists in Feature.
constexpr char kBytesList = 0x0a;
constexpr char kFloatList = 0x12;
constexpr char kInt64List = 0x1a;

// Appends one map entry whose list has the bytes `list`.
void AppendEntry(std::string_view name, char list_tag, std::string_view list, std::string* out) {
  const size_t feature_bytes = 1 + VarintBytes(list.size()) + list.size();
  const size_t entry_bytes =
      1 + VarintBytes(name.size()) + name.size() + 1 + VarintBytes(feature_bytes) + feature_bytes;
  out->push_back(kLengthDelimited1);
  AppendVarint(entry_bytes, out);
  out->push_back(kLengthDelimited1);
  AppendVarint(name.size(), out);
  out->append(name);
  out->push_back(kLengthDelimited2);
  AppendVarint(feature_bytes, out);
  out->push_back(list_tag);
  AppendVarint(list.size(), out);
  out->append(list);
}

}  // namespace

void ExampleBuilder::AddFloats(std::string_view name, std::span<const float> values) {
  scratch_.clear();
  if (!values.empty()) {
    scratch_.push_back(kLengthDelimited1);
    AppendVarint(values.size_bytes(), &scratch_);
    scratch_.append(reinterpret_cast<const char*>(values.data()), values.size_bytes());
  }
  AppendEntry(name, kFloatList, scratch_, &features_);
}

void ExampleBuilder::AddInts(std::string_view name, std::span<const int64_t> values) {
  scratch_.clear();
  if (!values.empty()) {
    size_t packed_bytes = 0;
    for (const int64_t value : values) packed_bytes += VarintBytes(static_cast<uint64_t>(value));
    scratch_.push_back(kLengthDelimited1);
    AppendVarint(packed_bytes, &scratch_);
    for (const int64_t value : values) AppendVarint(static_cast<uint64_t>(value), &scratch_);
  }
  AppendEntry(name, kInt64List, scratch_, &features_);
}

void ExampleBuilder::AddBytes(std::string_view name, std::span<const std::string_view> values) {
  scratch_.clear();
  for (const std::string_view value : values) {
    scratch_.push_back(kLengthDelimited1);
    AppendVarint(value.size(), &scratch_);
    scratch_.append(value);
  }
  AppendEntry(name, kBytesList, scratch_, &features_);
}

std::string_view ExampleBuilder::Finish() {
  record_.clear();
  record_.push_back(kLengthDelimited1);
  AppendVarint(features_.size(), &record_);
  record_.append(features_);
  features_.clear();
  return record_;
}

}  // namespace capstan
