#include "params/table_spec.h"

namespace capstan {

int64_t LayOutDense(std::vector<DenseSpec>* variables) {
  constexpr int64_t kFloatsPerLine = 16;
  int64_t offset = 0;
  for (DenseSpec& variable : *variables) {
    variable.offset = offset;
    const int64_t lines = (ElementCount(variable.shape) + kFloatsPerLine - 1) / kFloatsPerLine;
    offset += lines * kFloatsPerLine;
  }
  return offset;
}

}  // namespace capstan
