// Fixed-size rows under 64-bit keys, with their age: what a table and its admission filter are both
// made of. Index, arena, age and the cut of a running snapshot, kept in step.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "params/age_window.h"
#include "params/arena_cut.h"
#include "params/key_index.h"
#include "params/row_arena.h"

namespace capstan {

// Calls come from one thread at a time, but for FindBatch and Seen: those may run together, for
// different rows.
class KeyedRows {
 public:
  static StatusOr<std::unique_ptr<KeyedRows>> Create(int row_bytes, int64_t expiry_steps);

  // Rows unseen for too long expire now: they no longer count, though they are still found.
  void BeginStep(int64_t step) { age_.Advance(step); }
  int64_t step() const { return age_.step(); }

  uint32_t Find(uint64_t key) const { return index_.Find(key); }
  void FindBatch(std::span<const uint64_t> keys, int prefetch_bytes, uint32_t* rows) const {
    index_.FindBatch(keys, prefetch_bytes, rows);
  }
  char* Address(uint32_t row) const { return arena_.Address(row); }
  bool Expired(uint32_t row) const { return age_.Expired(RowLayout::LastStep(Address(row))); }
  // Whether it will have expired at `step`, the current one or a later one.
  bool ExpiredAt(uint32_t row, int64_t step) const {
    return age_.ExpiredAt(RowLayout::LastStep(Address(row)), step);
  }

  // Before bytes of rows change. (The calls below do it themselves.)
  void Preserve(std::span<const uint32_t> rows) {
    if (cut_ != nullptr) cut_->Preserve(rows);
  }

  // A row of `key`, which has none or an expired one, with its header set; the other bytes are
  // whatever they were.
  StatusOr<uint32_t> Add(uint64_t key, uint32_t count, uint32_t last_step);
  // A preserved row that has not expired was seen `count` times more at the current step.
  void Seen(uint32_t row, uint32_t count);
  // A row that has not expired goes.
  void Remove(uint32_t row);
  // Looks at the next `max_rows` rows, round and round, and takes back those that have expired.
  // Not while a cut is being read.
  void Sweep(int64_t max_rows);

  bool expires() const { return age_.active(); }
  // Rows that have not expired.
  int64_t alive() const { return age_.active() ? age_.alive() : arena_.live_rows(); }
  uint32_t limit() const { return arena_.limit(); }
  bool IsAlive(uint32_t row) const { return arena_.IsLive(row) && !Expired(row); }
  int64_t memory_bytes() const { return arena_.memory_bytes() + index_.memory_bytes(); }

  // The rows as they are now, for a reader in another thread. EndCut before the next one.
  std::shared_ptr<ArenaCut> Cut(SnapshotBuffer* buffer);
  void EndCut() { cut_ = nullptr; }

 private:
  KeyedRows(int row_bytes, AgeWindow age)
      : arena_(row_bytes), index_(&arena_), age_(std::move(age)) {}

  RowArena arena_;
  KeyIndex index_;
  AgeWindow age_;
  uint32_t sweep_position_ = 0;
  std::shared_ptr<ArenaCut> cut_;
};

// Steps as rows keep them.
inline uint32_t RowStep(int64_t step) {
  constexpr int64_t kMost = RowArena::kFreeStep - 1;
  return static_cast<uint32_t>(step < 0 ? 0 : step < kMost ? step : kMost);
}

}  // namespace capstan
