// Where the fields of a row are. A row is one contiguous piece of memory:
//
//   | key u64 | count u32 | last step u32 | part 0: weights, slot 0, slot 1 | part 1: … | padding |
//
// padded to a multiple of 32 bytes (dim 16, Adagrad, with a wide weight and its accumulator: 152 →
// 160).
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "params/table_spec.h"

namespace capstan {

class RowLayout {
 public:
  explicit RowLayout(const std::vector<RowPart>& parts);

  static constexpr int kHeaderBytes = 16;

  int row_bytes() const { return row_bytes_; }
  int part_count() const { return static_cast<int>(parts_.size()); }
  const RowPart& part(int part) const { return parts_[part]; }
  // In floats from the row's start.
  int weights_offset(int part) const { return weights_offset_[part]; }
  int slot_offset(int part, int slot) const { return slot_offset_[part][slot]; }
  // Sum of the parts' dims: the width of a gradient row (parts side by side, no slots).
  int gradient_dim() const { return gradient_dim_; }
  int gradient_offset(int part) const { return gradient_offset_[part]; }

  static uint64_t& Key(char* row) { return *reinterpret_cast<uint64_t*>(row); }
  static uint32_t& Count(char* row) { return *reinterpret_cast<uint32_t*>(row + 8); }
  static uint32_t& LastStep(char* row) { return *reinterpret_cast<uint32_t*>(row + 12); }
  static uint64_t Key(const char* row) { return *reinterpret_cast<const uint64_t*>(row); }
  static uint32_t Count(const char* row) { return *reinterpret_cast<const uint32_t*>(row + 8); }
  static uint32_t LastStep(const char* row) { return *reinterpret_cast<const uint32_t*>(row + 12); }

 private:
  std::vector<RowPart> parts_;
  std::vector<int> weights_offset_;
  std::vector<std::vector<int>> slot_offset_;
  std::vector<int> gradient_offset_;
  int row_bytes_ = 0;
  int gradient_dim_ = 0;
};

}  // namespace capstan
