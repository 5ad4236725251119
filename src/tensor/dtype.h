// Element types and shapes, with TensorFlow's numbers (tensorflow::DataType).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace capstan {

enum class DType : int {
  kInvalid = 0,
  kFloat = 1,
  kDouble = 2,
  kInt32 = 3,
  kUint8 = 4,
  kInt16 = 5,
  kInt8 = 6,
  kString = 7,
  kInt64 = 9,
  kBool = 10,
  kBfloat16 = 14,
  kUint16 = 17,
  kHalf = 19,
  kUint32 = 22,
  kUint64 = 23,
};

// Bytes of an element; 0 for strings and for types that are not in DType.
size_t SizeOf(DType dtype);
// "float32", "int64", "string", … as numpy says; "dtype 21" for others.
std::string NameOf(DType dtype);

// Row-major dimensions. A scalar is {}.
using Shape = std::vector<int64_t>;

// Product of the dimensions, or -1 if one is negative or the product does not fit 62 bits.
int64_t ElementCount(const Shape& shape);
// "[3,4]", "[]".
std::string ToString(const Shape& shape);

}  // namespace capstan
