// Examples as the trainer takes them: columns, already hashed and transformed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/input_position.h"

namespace capstan {

// The values of one categorical feature.
struct KeyColumn {
  std::vector<uint64_t> keys;  // [values]; int64 ids bit by bit
  // Example i has values offsets[i] … offsets[i+1]-1. Empty: each example has exactly one.
  std::vector<uint32_t> offsets;
  std::vector<float> weights;  // [values], or empty: all 1
};

struct Batch {
  int size = 0;
  std::vector<float> dense;            // [size, DenseWidth]
  std::vector<KeyColumn> columns;      // one per categorical feature, in the order of the InputSpec
  std::vector<float> labels;           // [size]; class numbers too
  std::vector<float> example_weights;  // [size], or empty: all 1
  std::vector<uint64_t> groups;        // [size], or empty
  std::vector<std::string> ids;        // [size, id columns], or empty
  InputPosition position;              // where to go on after this batch
};

}  // namespace capstan
