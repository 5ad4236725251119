// A box of a tensor: where a piece of a partitioned variable belongs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace capstan {

// One dimension of a slice. Length -1: the whole dimension (then start is 0).
struct SliceExtent {
  int64_t start = 0;
  int64_t length = -1;

  bool operator==(const SliceExtent&) const = default;
};
// An extent for each dimension of the whole tensor.
using TensorSlice = std::vector<SliceExtent>;

// The slice with every length as a number. Error when it does not fit `whole`.
StatusOr<TensorSlice> ResolveSlice(const TensorSlice& slice, const Shape& whole);
// The shape of what a resolved slice holds.
Shape ShapeOf(const TensorSlice& resolved);
// Resolved slices of the same tensor that share an element.
bool Overlap(const TensorSlice& a, const TensorSlice& b);
// "0,10:0,16", a whole dimension as "-": TensorFlow's notation without the whole shape.
std::string ToString(const TensorSlice& slice);

// The key of a slice in a bundle's index, in an encoding that keeps the order of its parts:
//
//   key      := 00 (number 0) | name, 00 → 00 ff, ff → ff 00 | 00 01 | rank | (start | length) …
//   unsigned := number of bytes | big-endian bytes          rank
//   signed   := n bytes, of whose bits the first n say n (ones; inverted for negative numbers) and
//               the others are the number in two's complement            start, length
std::string SliceKey(std::string_view name, const TensorSlice& slice);

// Copies the elements of a resolved slice, row major in `piece`, to their places in the whole
// tensor.
void PutSlice(const TensorSlice& resolved, const Shape& whole, size_t element_bytes,
              const char* piece, char* tensor);
// Whether a resolved slice is one run of bytes in the whole tensor; then `*first_element` is where.
bool IsContiguous(const TensorSlice& resolved, const Shape& whole, uint64_t* first_element);

}  // namespace capstan
