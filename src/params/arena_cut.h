// One arena as it was at a moment, read by one thread while others change rows: copy on write.
//
//   rows    | passed by the reader        | not yet passed                      | came after the
//   cut
//           | free to change              | preserved before the first change   | not part
//           0                        position                                limit
//
// Preserved rows lie in a SnapshotBuffer, listed by chunk of 128 rows, until the reader passes.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/mutex.h"
#include "params/row_arena.h"
#include "params/snapshot_buffer.h"

namespace capstan {

class ArenaCut {
 public:
  static constexpr uint32_t kChunkRows = 128;

  // At a moment when nobody changes rows. `buffer` outlives the cut; the arena's memory too.
  ArenaCut(const RowArena& arena, SnapshotBuffer* buffer);
  ~ArenaCut();
  ArenaCut(const ArenaCut&) = delete;
  ArenaCut& operator=(const ArenaCut&) = delete;

  // Whoever changes rows, before the change; several threads at once. Waits while the buffer is
  // full and the reader has not passed (a stall), and for the chunk that is just being read.
  void Preserve(std::span<const uint32_t> rows) EXCLUDES(mutex_);
  void Preserve(uint32_t row) { Preserve({&row, 1}); }

  // The reader: the rows of the next chunk as they were at the cut, freed ones included, back to
  // back in `out` (kChunkRows rows long). Returns how many; 0 at the end.
  int64_t ReadChunk(char* out) EXCLUDES(mutex_);

  int row_bytes() const { return static_cast<int>(row_bytes_); }

 private:
  static constexpr uint32_t kNoSlot = 0xffffffffu;
  static constexpr uint32_t kSlabSlots = 64;
  struct SlotHeader {
    uint32_t next;
    uint32_t row;
  };

  enum class Outcome { kDone, kFull, kBeingRead };

  bool NeedsCopy(uint32_t row) const;
  Outcome Copy(uint32_t row) REQUIRES(mutex_);
  SlotHeader* Slot(uint32_t slot) const REQUIRES(mutex_);
  void TakePreserved(uint32_t begin, char* out) REQUIRES(mutex_);
  void ReleaseSlabs() EXCLUDES(mutex_);
  const char* Address(uint32_t row) const {
    return units_[row >> unit_shift_] +
           static_cast<size_t>(row & ((uint32_t{1} << unit_shift_) - 1)) * row_bytes_;
  }

  const std::vector<char*> units_;  // the arena's own list grows meanwhile
  const int unit_shift_;
  const size_t row_bytes_;
  const uint32_t limit_;
  SnapshotBuffer* const buffer_;
  int64_t fixed_bytes_ = 0;

  std::atomic<uint32_t> position_{0};
  std::unique_ptr<std::atomic<uint64_t>[]> preserved_;  // a bit per row; set under the mutex
  Mutex mutex_;
  uint32_t claimed_ GUARDED_BY(mutex_) = 0;  // rows from position on that are being read
  std::vector<uint32_t> first_slot_ GUARDED_BY(mutex_);  // by chunk
  std::vector<std::unique_ptr<char[]>> slabs_ GUARDED_BY(mutex_);
  uint32_t free_slot_ GUARDED_BY(mutex_) = kNoSlot;
};

}  // namespace capstan
