#include "formats/tensor_slice.h"

#include <algorithm>
#include <cstring>

namespace capstan {
namespace {

void AppendUnsigned(uint64_t value, std::string* out) {
  int n = 0;
  while (n < 8 && (value >> (8 * n)) != 0) ++n;
  out->push_back(static_cast<char>(n));
  while (n-- > 0) out->push_back(static_cast<char>(value >> (8 * n)));
}

void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    out->push_back(c);
    if (c == '\0') out->push_back('\xff');
    if (c == '\xff') out->push_back('\0');
  }
  out->append("\0\1", 2);
}

void AppendSigned(int64_t value, std::string* out) {
  const uint64_t magnitude = static_cast<uint64_t>(value < 0 ? ~value : value);
  int n = 1;  // n bytes have room for 7n - 1 bits besides the sign
  while (n < 10 && (magnitude >> (7 * n - 1)) != 0) ++n;
  // Ten bytes of two's complement, of which the last n are stored.
  char bytes[10];
  bytes[0] = bytes[1] = value < 0 ? '\xff' : '\0';
  for (int i = 0; i < 8; ++i) bytes[2 + i] = static_cast<char>(value >> (8 * (7 - i)));
  const uint32_t header = (0xffffu << (16 - n)) & 0xffffu;
  char* const first = bytes + 10 - n;
  first[0] ^= static_cast<char>(header >> 8);
  if (n > 1) first[1] ^= static_cast<char>(header);
  out->append(first, n);
}

// From which dimension on the slice takes everything: runs of bytes start there.
size_t FirstWholeDimension(const TensorSlice& resolved, const Shape& whole) {
  size_t dimension = whole.size();
  while (dimension > 0 && resolved[dimension - 1].length == whole[dimension - 1]) --dimension;
  return dimension;
}

}  // namespace

StatusOr<TensorSlice> ResolveSlice(const TensorSlice& slice, const Shape& whole) {
  if (slice.size() != whole.size()) {
    return Error("slice {} has {} dimensions, its tensor {} has {}", ToString(slice), slice.size(),
                 ToString(whole), whole.size());
  }
  TensorSlice resolved = slice;
  for (size_t i = 0; i < whole.size(); ++i) {
    SliceExtent& extent = resolved[i];
    if (extent.length == -1 && extent.start == 0) extent.length = whole[i];
    if (extent.start < 0 || extent.length < 0 || extent.start > whole[i] ||
        extent.length > whole[i] - extent.start) {
      return Error("slice {} does not fit its tensor {}", ToString(slice), ToString(whole));
    }
  }
  return resolved;
}

Shape ShapeOf(const TensorSlice& resolved) {
  Shape shape;
  for (const SliceExtent& extent : resolved) shape.push_back(extent.length);
  return shape;
}

bool Overlap(const TensorSlice& a, const TensorSlice& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].length == 0 || b[i].length == 0) return false;
    if (a[i].start >= b[i].start + b[i].length || b[i].start >= a[i].start + a[i].length) {
      return false;
    }
  }
  return true;
}

std::string ToString(const TensorSlice& slice) {
  std::string text;
  for (const SliceExtent& extent : slice) {
    if (!text.empty()) text += ":";
    text += extent.length == -1 ? "-" : fmt::format("{},{}", extent.start, extent.length);
  }
  return text;
}

std::string SliceKey(std::string_view name, const TensorSlice& slice) {
  std::string key;
  AppendUnsigned(0, &key);
  AppendEscaped(name, &key);
  AppendUnsigned(slice.size(), &key);
  for (const SliceExtent& extent : slice) {
    AppendSigned(extent.start, &key);
    AppendSigned(extent.length, &key);
  }
  return key;
}

bool IsContiguous(const TensorSlice& resolved, const Shape& whole, uint64_t* first_element) {
  const size_t first_whole = FirstWholeDimension(resolved, whole);
  uint64_t place = 0;
  for (size_t i = 0; i < whole.size(); ++i) {
    if (i + 1 < first_whole && resolved[i].length != 1) return false;
    place = place * whole[i] + resolved[i].start;
  }
  *first_element = place;
  return true;
}

void PutSlice(const TensorSlice& resolved, const Shape& whole, size_t element_bytes,
              const char* piece, char* tensor) {
  if (ElementCount(ShapeOf(resolved)) == 0) return;
  const size_t first_whole = FirstWholeDimension(resolved, whole);
  // The dimensions before `outer` are walked; a run is all of the slice's part of the others.
  const size_t outer = first_whole == 0 ? 0 : first_whole - 1;
  size_t run_bytes = element_bytes;
  for (size_t i = outer; i < whole.size(); ++i) run_bytes *= resolved[i].length;
  std::vector<int64_t> index(outer, 0);
  while (true) {
    uint64_t place = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      place = place * whole[i] + resolved[i].start + (i < outer ? index[i] : 0);
    }
    std::memcpy(tensor + place * element_bytes, piece, run_bytes);
    piece += run_bytes;
    size_t i = outer;
    while (i > 0 && ++index[i - 1] == resolved[i - 1].length) index[--i] = 0;
    if (i == 0) return;
  }
}

}  // namespace capstan
