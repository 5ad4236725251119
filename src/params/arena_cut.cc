#include "params/arena_cut.h"

#include <algorithm>
#include <cstring>

namespace capstan {

ArenaCut::ArenaCut(const RowArena& arena, SnapshotBuffer* buffer)
    : units_(arena.units()),
      unit_shift_(arena.unit_shift()),
      row_bytes_(static_cast<size_t>(arena.row_bytes())),
      limit_(arena.limit()),
      buffer_(buffer) {
  const size_t words = (size_t{limit_} + 63) / 64;
  preserved_.reset(new std::atomic<uint64_t>[words]());
  const size_t chunks = (size_t{limit_} + kChunkRows - 1) / kChunkRows;
  MutexLock lock(&mutex_);
  first_slot_.assign(chunks, kNoSlot);
  fixed_bytes_ = static_cast<int64_t>(words * sizeof(uint64_t) + chunks * sizeof(uint32_t) +
                                      units_.size() * sizeof(char*));
  buffer_->TakeAnyway(fixed_bytes_);
}

ArenaCut::~ArenaCut() { buffer_->Give(fixed_bytes_); }

bool ArenaCut::NeedsCopy(uint32_t row) const {
  if (row >= limit_ || row < position_.load(std::memory_order_acquire)) return false;
  return ((preserved_[row / 64].load(std::memory_order_relaxed) >> (row % 64)) & 1) == 0;
}

void ArenaCut::Preserve(std::span<const uint32_t> rows) {
  size_t at = 0;
  bool stalled = false;
  for (;;) {
    while (at < rows.size() && !NeedsCopy(rows[at])) ++at;
    if (at == rows.size() || buffer_->finished()) return;
    const uint64_t seen = buffer_->progress();
    Outcome outcome = Outcome::kDone;
    {
      MutexLock lock(&mutex_);
      while (at < rows.size()) {
        if (NeedsCopy(rows[at])) outcome = Copy(rows[at]);
        if (outcome != Outcome::kDone) break;
        ++at;
      }
    }
    if (outcome == Outcome::kDone || buffer_->finished()) continue;
    if (outcome == Outcome::kFull && !stalled) buffer_->CountStall();
    stalled = stalled || outcome == Outcome::kFull;
    buffer_->WaitPast(seen);
  }
}

ArenaCut::SlotHeader* ArenaCut::Slot(uint32_t slot) const {
  const size_t slot_bytes = sizeof(SlotHeader) + row_bytes_;
  return reinterpret_cast<SlotHeader*>(slabs_[slot / kSlabSlots].get() +
                                       slot % kSlabSlots * slot_bytes);
}

ArenaCut::Outcome ArenaCut::Copy(uint32_t row) {
  if (row < claimed_) return Outcome::kBeingRead;
  const size_t slot_bytes = sizeof(SlotHeader) + row_bytes_;
  if (free_slot_ == kNoSlot) {
    if (!buffer_->Take(static_cast<int64_t>(kSlabSlots * slot_bytes))) {
      return Outcome::kFull;
    }
    const uint32_t first = static_cast<uint32_t>(slabs_.size()) * kSlabSlots;
    slabs_.emplace_back(new char[kSlabSlots * slot_bytes]);
    for (uint32_t slot = first + kSlabSlots; slot-- > first;) {
      Slot(slot)->next = free_slot_;
      free_slot_ = slot;
    }
  }
  const uint32_t slot = free_slot_;
  SlotHeader* const header = Slot(slot);
  free_slot_ = header->next;
  header->row = row;
  header->next = first_slot_[row / kChunkRows];
  first_slot_[row / kChunkRows] = slot;
  std::memcpy(header + 1, Address(row), row_bytes_);
  preserved_[row / 64].fetch_or(uint64_t{1} << (row % 64), std::memory_order_relaxed);
  return Outcome::kDone;
}

int64_t ArenaCut::ReadChunk(char* out) {
  const uint32_t begin = position_.load(std::memory_order_relaxed);
  const uint32_t end =
      static_cast<uint32_t>(std::min<uint64_t>(limit_, uint64_t{begin} + kChunkRows));
  if (begin == end) return 0;
  {
    MutexLock lock(&mutex_);
    claimed_ = end;  // from here on nobody preserves or changes these rows
    TakePreserved(begin, out);
  }
  for (uint32_t row = begin; row < end; ++row) {
    const uint64_t word = preserved_[row / 64].load(std::memory_order_relaxed);
    if (((word >> (row % 64)) & 1) != 0) continue;
    std::memcpy(out + (row - begin) * row_bytes_, Address(row), row_bytes_);
  }
  position_.store(end, std::memory_order_release);
  if (end == limit_) ReleaseSlabs();
  buffer_->Progress();
  return end - begin;
}

// Copies the preserved rows of the chunk at `begin` and makes their slots free.
void ArenaCut::TakePreserved(uint32_t begin, char* out) {
  uint32_t& first = first_slot_[begin / kChunkRows];
  while (first != kNoSlot) {
    const uint32_t slot = first;
    SlotHeader* const header = Slot(slot);
    std::memcpy(out + (header->row - begin) * row_bytes_, header + 1, row_bytes_);
    first = header->next;
    header->next = free_slot_;
    free_slot_ = slot;
  }
}

void ArenaCut::ReleaseSlabs() {
  MutexLock lock(&mutex_);
  buffer_->Give(
      static_cast<int64_t>(slabs_.size() * kSlabSlots * (sizeof(SlotHeader) + row_bytes_)));
  slabs_.clear();
  free_slot_ = kNoSlot;
}

}  // namespace capstan
