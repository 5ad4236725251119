#include "params/keyed_rows.h"

#include <algorithm>

namespace capstan {

StatusOr<std::unique_ptr<KeyedRows>> KeyedRows::Create(int row_bytes, int64_t expiry_steps) {
  ASSIGN_OR_RETURN(AgeWindow age, AgeWindow::Create(expiry_steps));
  return std::unique_ptr<KeyedRows>(new KeyedRows(row_bytes, std::move(age)));
}

StatusOr<uint32_t> KeyedRows::Add(uint64_t key, uint32_t count, uint32_t last_step) {
  uint32_t row = index_.Find(key);
  if (row == RowArena::kNoRow) {
    ASSIGN_OR_RETURN(row, arena_.Allocate());
    Preserve({&row, 1});  // freed before the cut
    char* const address = arena_.Address(row);
    RowLayout::Key(address) = key;
    if (Status status = index_.Insert(key, row); !status.ok()) {
      arena_.Free(row);
      return status;
    }
  } else {
    Preserve({&row, 1});
  }
  char* const address = arena_.Address(row);
  RowLayout::Count(address) = count;
  RowLayout::LastStep(address) = last_step;
  age_.Add(last_step);
  return row;
}

void KeyedRows::Seen(uint32_t row, uint32_t count) {
  char* const address = arena_.Address(row);
  uint32_t& total = RowLayout::Count(address);
  total = total + count < total ? 0xffffffffu : total + count;
  uint32_t& last_step = RowLayout::LastStep(address);
  const uint32_t now = RowStep(age_.step());
  age_.Move(last_step, now);
  last_step = now;
}

void KeyedRows::Remove(uint32_t row) {
  Preserve({&row, 1});
  const char* const address = arena_.Address(row);
  age_.Remove(RowLayout::LastStep(address));
  index_.Erase(RowLayout::Key(address));
  arena_.Free(row);
}

void KeyedRows::Sweep(int64_t max_rows) {
  if (!age_.active()) return;
  const uint32_t limit = arena_.limit();
  const int64_t rows = std::min<int64_t>(max_rows, limit);
  for (int64_t i = 0; i < rows; ++i) {
    if (sweep_position_ >= limit) sweep_position_ = 0;
    const uint32_t row = sweep_position_++;
    if (!arena_.IsLive(row) || !Expired(row)) continue;
    index_.Erase(RowLayout::Key(arena_.Address(row)));
    arena_.Free(row);
  }
}

std::shared_ptr<ArenaCut> KeyedRows::Cut(SnapshotBuffer* buffer) {
  cut_ = std::make_shared<ArenaCut>(arena_, buffer);
  return cut_;
}

}  // namespace capstan
