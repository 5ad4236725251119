#include "formats/bundle_digest.h"

#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

#include "formats/digest.h"

namespace capstan {
namespace {

constexpr std::string_view kKeysSuffix = "-keys";

bool IsKeys(const TensorEntry& entry) {
  return entry.name.ends_with(kKeysSuffix) && entry.shape.size() == 1 &&
         (entry.dtype == DType::kInt64 || entry.dtype == DType::kString);
}

// The keys of the table whose row-aligned tensor `entry` is; null when it is in no table.
const TensorEntry* KeysOf(const TensorBundleReader& reader, const TensorEntry& entry) {
  if (IsKeys(entry)) return &entry;
  if (entry.shape.empty()) return nullptr;
  // Every place where NAME can end, the longest first.
  for (size_t end = entry.name.size(); end-- > 1;) {
    if (entry.name[end] != '-' && entry.name[end] != '/') continue;
    const TensorEntry* keys = reader.Find(entry.name.substr(0, end).append(kKeysSuffix));
    if (keys != nullptr && IsKeys(*keys) && keys->shape[0] == entry.shape[0]) return keys;
  }
  return nullptr;
}

template <typename T>
std::vector<size_t> SortedOrder(const std::vector<T>& keys) {
  std::vector<size_t> order(keys.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return keys[a] < keys[b]; });
  return order;
}

class BundleDigester {
 public:
  explicit BundleDigester(const TensorBundleReader& reader) : reader_(reader) {}

  StatusOr<std::string> Run() {
    for (const TensorEntry& entry : reader_.entries()) RETURN_IF_ERROR(Add(entry));
    return digest_.Hex();
  }

 private:
  Status Add(const TensorEntry& entry) {
    digest_.AddText(entry.name);
    digest_.AddNumber(static_cast<uint64_t>(entry.dtype));
    digest_.AddNumber(entry.shape.size());
    for (const int64_t size : entry.shape) digest_.AddNumber(size);
    const TensorEntry* keys = KeysOf(reader_, entry);
    if (keys != nullptr) RETURN_IF_ERROR(SortKeys(*keys));
    const std::vector<size_t>* order = keys == nullptr ? nullptr : &order_;
    if (entry.dtype == DType::kString) return AddStrings(entry, order);
    if (SizeOf(entry.dtype) == 0) {
      // A type that is not read: what the index says of its bytes.
      digest_.AddNumber(entry.size_bytes);
      digest_.AddNumber(entry.masked_crc32c);
      return OkStatus();
    }
    return AddNumbers(entry, order);
  }

  // `order_` for the rows of the table; kept while the tensors of one table follow each other.
  Status SortKeys(const TensorEntry& keys) {
    if (keys.name == sorted_keys_) return OkStatus();
    if (keys.dtype == DType::kInt64) {
      ASSIGN_OR_RETURN(const std::vector<int64_t> values, reader_.ReadInts(keys.name));
      order_ = SortedOrder(values);
    } else {
      ASSIGN_OR_RETURN(const std::vector<std::string> values, reader_.ReadStrings(keys.name));
      order_ = SortedOrder(values);
    }
    sorted_keys_ = keys.name;
    return OkStatus();
  }

  Status AddStrings(const TensorEntry& entry, const std::vector<size_t>* order) {
    ASSIGN_OR_RETURN(const std::vector<std::string> values, reader_.ReadStrings(entry.name));
    const size_t rows = order == nullptr ? 1 : order->size();
    const size_t row_values = rows == 0 ? 0 : values.size() / rows;
    for (size_t row = 0; row < rows; ++row) {
      const size_t first = (order == nullptr ? row : (*order)[row]) * row_values;
      for (size_t i = 0; i < row_values; ++i) digest_.AddText(values[first + i]);
    }
    return OkStatus();
  }

  Status AddNumbers(const TensorEntry& entry, const std::vector<size_t>* order) {
    std::string bytes(ElementCount(entry.shape) * SizeOf(entry.dtype), '\0');
    RETURN_IF_ERROR(reader_.Read(entry.name, bytes));
    if (order == nullptr || order->empty()) {
      digest_.Add(bytes);
      return OkStatus();
    }
    const size_t row_bytes = bytes.size() / order->size();
    for (const size_t row : *order) {
      digest_.Add(std::string_view(bytes).substr(row * row_bytes, row_bytes));
    }
    return OkStatus();
  }

  const TensorBundleReader& reader_;
  Digest digest_;
  std::string sorted_keys_;
  std::vector<size_t> order_;
};

}  // namespace

StatusOr<std::string> DigestBundle(const TensorBundleReader& reader) {
  return BundleDigester(reader).Run();
}

}  // namespace capstan
