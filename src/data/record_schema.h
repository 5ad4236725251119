// Which columns the first records of a file have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/input_format.h"

namespace capstan {

struct SeenColumn {
  enum class Kind { kInt64, kFloat, kString };

  std::string name;
  Kind kind = Kind::kInt64;
  int64_t min_values = 0, max_values = 0;  // in the records that have it
  int64_t records = 0;                     // that have it
};

// "float[9]", "int64[11..14]", "bytes[1]".
std::string TypeText(const SeenColumn& column);

// In the order of first sight. TFRecord: the features of tf.Example; LIBSVM: label, ids, values;
// Criteo: its 40 columns; CSV: its named columns, or none.
std::vector<SeenColumn> SeenColumns(const InputSample& sample);

}  // namespace capstan
