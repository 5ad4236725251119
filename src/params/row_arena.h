// The memory of a table's rows: fixed-size rows in blocks that never move. Row numbers are given
// out in ascending order; freed ones are used again, the last freed first.
//
//   block   | unit 0 | unit 1 | unit 2 unit 3 | unit 4 … 7 | …  doubling up to 64 MB, from 2 MB on
//   unit    | row | row | … |  a power of two of rows          on huge pages
//
// Memory is touched only when rows come: a table of three rows costs one page.
#pragma once

#include <cstdint>
#include <vector>

#include "base/huge_pages.h"
#include "base/status.h"
#include "params/row_layout.h"

namespace capstan {

class RowArena {
 public:
  static constexpr uint32_t kNoRow = 0xffffffffu;
  // The last-seen step of a row that holds nothing (steps are capped below it).
  static constexpr uint32_t kFreeStep = 0xffffffffu;

  // Every row begins with RowLayout's header.
  explicit RowArena(int row_bytes);

  // A row whose bytes are whatever they were. Its last-seen step is still kFreeStep for a row that
  // was freed; the caller writes all of it. kResourceExhausted at 2^32 - 1 rows, kUnavailable when
  // memory is gone.
  StatusOr<uint32_t> Allocate();
  void Free(uint32_t row);

  char* Address(uint32_t row) const {
    return units_[row >> unit_shift_] + static_cast<size_t>(row & unit_mask_) * row_bytes_;
  }
  bool IsLive(uint32_t row) const { return RowLayout::LastStep(Address(row)) != kFreeStep; }

  int row_bytes() const { return row_bytes_; }
  // Rows [0, limit) exist: live or freed.
  uint32_t limit() const { return limit_; }
  int64_t live_rows() const { return int64_t{limit_} - static_cast<int64_t>(freed_.size()); }
  // Unit u holds rows [u << unit_shift, (u + 1) << unit_shift).
  int unit_shift() const { return unit_shift_; }
  const std::vector<char*>& units() const { return units_; }
  // Bytes that have been touched.
  int64_t memory_bytes() const;

 private:
  Status AddBlock();

  const size_t row_bytes_;
  int unit_shift_ = 0;
  uint32_t unit_mask_ = 0;
  uint32_t limit_ = 0;
  std::vector<char*> units_;
  std::vector<HugeBlock> blocks_;
  std::vector<uint32_t> freed_;
};

}  // namespace capstan
