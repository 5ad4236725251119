// From 64-bit keys to row numbers: an extendible hash table of small shards that grow alone.
//
//   hash ──upper half──► directory[2^depth] ──► shard: 256 groups (fewer while it is the only one)
//        ──lower half──► group in the shard, tag
//
//   group (one cache line)  | 12 tags of 8 bits | u32 | 12 row numbers of 32 bits |
//
// A lookup compares the 12 tags at once and reads the key in the row for those that match; a group
// without an empty place ends the search for no key, the next group is next. A shard that is 80 %
// full splits in two: some 2,500 keys move, and nobody waits for more than that. The upper half of
// the hash is bent (Bend) so that shards fill at different times: the index is at any size between
// 40 and 80 % full, 9.6 bytes per row, and splits come one by one, never in a wave.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/huge_pages.h"
#include "base/random.h"
#include "base/status.h"
#include "params/row_arena.h"

namespace capstan {

// Keeps row numbers only: keys are read where they lie, in `arena`. Not thread-safe, but const
// calls may run together.
class KeyIndex {
 public:
  // `arena` outlives the index.
  explicit KeyIndex(const RowArena* arena);
  ~KeyIndex();
  KeyIndex(const KeyIndex&) = delete;
  KeyIndex& operator=(const KeyIndex&) = delete;

  // RowArena::kNoRow when there is none.
  uint32_t Find(uint64_t key) const { return Find(key, MixBits(key)); }
  // rows[i] = Find(keys[i]), with the memory of many keys fetched at once: groups first, then the
  // first `prefetch_bytes` of the rows.
  void FindBatch(std::span<const uint64_t> keys, int prefetch_bytes, uint32_t* rows) const;

  // `key` must not be in the index and must stand in the row already.
  Status Insert(uint64_t key, uint32_t row);
  void Erase(uint64_t key);

  int64_t memory_bytes() const;

 private:
  static constexpr int kPlaces = 12;  // per group
  struct alignas(64) Group {
    uint8_t tags[kPlaces];  // 0: empty, 1: erased
    uint32_t control;       // in a shard's first group: depth << 24 | places that are not empty
    uint32_t rows[kPlaces];
  };
  static_assert(sizeof(Group) == 64);

  static uint32_t Match(const Group& group, uint8_t tag);
  static uint8_t TagOf(uint64_t hash);
  static uint32_t Bend(uint64_t hash);
  Group* ShardOf(uint64_t hash) const;
  uint32_t HomeOf(uint64_t hash) const;

  uint32_t Find(uint64_t key, uint64_t hash) const;
  uint32_t Candidate(const Group& group, uint8_t tag, int prefetch_bytes) const;
  void Place(Group* shard, uint64_t hash, uint32_t row);
  Status MakeRoom(uint64_t hash);
  Status GrowOnlyShard();
  Status Split(uint64_t hash);
  Status AddSibling(uint64_t hash);
  void PlaceMoving();
  void TakeAll(Group* shard);
  StatusOr<Group*> NewShard();

  const RowArena* const arena_;
  std::vector<Group*> directory_;
  int depth_ = 0;
  uint32_t groups_ = 1;                  // of every shard
  std::unique_ptr<Group[]> only_shard_;  // while it is smaller than others will be
  std::vector<HugeBlock> blocks_;        // of shards
  int64_t block_shards_ = 0;             // room in the last block
  int64_t block_used_ = 0;
  int64_t shards_ = 0;
  // Of the split that is under way.
  std::vector<uint32_t> moving_rows_;
};

}  // namespace capstan
