#include "params/row_arena.h"

#include <algorithm>

namespace capstan {
namespace {
constexpr size_t kUnitBytes = size_t{1} << 20;    // at most
constexpr size_t kBlockBytes = size_t{64} << 20;  // at most
constexpr int kMaxUnitShift = 12;
}  // namespace

RowArena::RowArena(int row_bytes) : row_bytes_(static_cast<size_t>(row_bytes)) {
  unit_shift_ = kMaxUnitShift;
  while (unit_shift_ > 0 && (row_bytes_ << unit_shift_) > kUnitBytes) --unit_shift_;
  unit_mask_ = (uint32_t{1} << unit_shift_) - 1;
}

StatusOr<uint32_t> RowArena::Allocate() {
  if (!freed_.empty()) {
    const uint32_t row = freed_.back();
    freed_.pop_back();
    return row;
  }
  if (limit_ == kNoRow) {
    return MakeStatus(absl::StatusCode::kResourceExhausted,
                      fmt::format("add a row: the table has {} rows, its most", limit_));
  }
  if ((limit_ >> unit_shift_) == units_.size()) RETURN_IF_ERROR(AddBlock());
  return limit_++;
}

void RowArena::Free(uint32_t row) {
  RowLayout::LastStep(Address(row)) = kFreeStep;
  freed_.push_back(row);
}

Status RowArena::AddBlock() {
  const size_t unit_bytes = row_bytes_ << unit_shift_;
  const size_t most = std::max<size_t>(1, kBlockBytes / unit_bytes);
  const size_t units = std::clamp<size_t>(units_.size(), 1, most);
  auto block = HugeBlock::Allocate(units * unit_bytes);
  if (!block.ok()) return Annotate(block.status(), fmt::format("add row {}", limit_));
  for (size_t i = 0; i < units; ++i) units_.push_back(block->data() + i * unit_bytes);
  blocks_.push_back(std::move(block).value());
  return OkStatus();
}

int64_t RowArena::memory_bytes() const {
  return static_cast<int64_t>(limit_ * row_bytes_ + units_.capacity() * sizeof(char*) +
                              freed_.capacity() * sizeof(uint32_t));
}

}  // namespace capstan
