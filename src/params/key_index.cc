#include "params/key_index.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cstring>

namespace capstan {
namespace {
constexpr uint8_t kEmpty = 0;
constexpr uint8_t kErased = 1;
constexpr uint32_t kShardGroups = 256;
constexpr uint32_t kUsedMask = 0xffffff;
constexpr int kMaxDepth = 26;
constexpr int64_t kMaxBlockShards = 1024;  // 16 MB
constexpr int64_t kHugeBlockShards = 128;  // 2 MB: a huge page …
constexpr int64_t kHugeFromShards = 32;    // … for tables of more than some 50,000 rows
constexpr size_t kBatch = 64;

// Places that may be used before a shard grows: 80 %.
uint32_t LimitOf(uint32_t groups) { return groups * 12 * 4 / 5; }
}  // namespace

KeyIndex::KeyIndex(const RowArena* arena) : arena_(arena), only_shard_(new Group[1]()) {
  directory_.push_back(only_shard_.get());
}

KeyIndex::~KeyIndex() = default;

// Bit i is set where tag i equals `tag`.
inline uint32_t KeyIndex::Match(const Group& group, uint8_t tag) {
#if defined(__SSE2__)
  const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(group.tags));
  const __m128i equal = _mm_cmpeq_epi8(tags, _mm_set1_epi8(static_cast<char>(tag)));
  return static_cast<uint32_t>(_mm_movemask_epi8(equal)) & 0xfff;
#else
  uint32_t mask = 0;
  for (int i = 0; i < kPlaces; ++i) mask |= uint32_t{group.tags[i] == tag} << i;
  return mask;
#endif
}

inline uint8_t KeyIndex::TagOf(uint64_t hash) {
  const uint8_t tag = static_cast<uint8_t>(hash);
  return tag <= kErased ? tag + 2 : tag;
}

// y = x (0.6565 + 0.3435 x), near 2^x - 1, of the hash's upper half as a fraction x: shards at the
// lower end of y have twice the keys of those at the upper end, and the others lie evenly between
// on a logarithmic scale. So at any size some shard is about to split.
inline uint32_t KeyIndex::Bend(uint64_t hash) {
  constexpr uint64_t kLinear = 0xa8106257;  // 0.6565 · 2^32
  constexpr uint64_t kSquare = 0xffffffff - kLinear;
  const uint64_t x = hash >> 32;
  return static_cast<uint32_t>((x * (kLinear + ((kSquare * x) >> 32))) >> 32);
}

inline KeyIndex::Group* KeyIndex::ShardOf(uint64_t hash) const {
  return directory_[uint64_t{Bend(hash)} >> (32 - depth_)];
}

inline uint32_t KeyIndex::HomeOf(uint64_t hash) const {
  return static_cast<uint32_t>(((hash & 0xffffffff) * groups_) >> 32);
}

uint32_t KeyIndex::Find(uint64_t key, uint64_t hash) const {
  const Group* const shard = ShardOf(hash);
  const uint8_t tag = TagOf(hash);
  uint32_t at = HomeOf(hash);
  for (uint32_t probe = 0; probe < groups_; ++probe) {
    const Group& group = shard[at];
    for (uint32_t mask = Match(group, tag); mask != 0; mask &= mask - 1) {
      const uint32_t row = group.rows[std::countr_zero(mask)];
      if (RowLayout::Key(static_cast<const char*>(arena_->Address(row))) == key) return row;
    }
    if (Match(group, kEmpty) != 0) return RowArena::kNoRow;
    at = at + 1 == groups_ ? 0 : at + 1;
  }
  return RowArena::kNoRow;
}

// The row of the first place in `group` with that tag, its memory on its way.
inline uint32_t KeyIndex::Candidate(const Group& group, uint8_t tag, int prefetch_bytes) const {
  const uint32_t mask = Match(group, tag);
  if (mask == 0) return RowArena::kNoRow;
  const uint32_t row = group.rows[std::countr_zero(mask)];
  const char* const address = arena_->Address(row);
  for (int at = 0; at < prefetch_bytes; at += 64) __builtin_prefetch(address + at);
  return row;
}

void KeyIndex::FindBatch(std::span<const uint64_t> keys, int prefetch_bytes, uint32_t* rows) const {
  uint64_t hashes[kBatch];
  const Group* groups[kBatch];
  uint32_t overflowed[kBatch];
  for (size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const size_t count = std::min(kBatch, keys.size() - begin);
    const uint64_t* const key = keys.data() + begin;
    uint32_t* const row = rows + begin;
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = MixBits(key[i]);
      groups[i] = ShardOf(hashes[i]) + HomeOf(hashes[i]);
      __builtin_prefetch(groups[i]);
    }
    size_t overflows = 0;
    for (size_t i = 0; i < count; ++i) {
      row[i] = Candidate(*groups[i], TagOf(hashes[i]), prefetch_bytes);
      const bool last = HomeOf(hashes[i]) + 1 == groups_;
      if (row[i] != RowArena::kNoRow || last || Match(*groups[i], kEmpty) != 0) continue;
      __builtin_prefetch(groups[i] + 1);
      overflowed[overflows++] = static_cast<uint32_t>(i);
    }
    for (size_t o = 0; o < overflows; ++o) {
      const uint32_t i = overflowed[o];
      row[i] = Candidate(groups[i][1], TagOf(hashes[i]), prefetch_bytes);
    }
    for (size_t i = 0; i < count; ++i) {
      const bool found =
          row[i] != RowArena::kNoRow &&
          RowLayout::Key(static_cast<const char*>(arena_->Address(row[i]))) == key[i];
      if (!found) row[i] = Find(key[i], hashes[i]);
    }
  }
}

Status KeyIndex::Insert(uint64_t key, uint32_t row) {
  const uint64_t hash = MixBits(key);
  Group* shard = ShardOf(hash);
  while ((shard->control & kUsedMask) >= LimitOf(groups_)) {
    RETURN_IF_ERROR(MakeRoom(hash));
    shard = ShardOf(hash);
  }
  Place(shard, hash, row);
  return OkStatus();
}

// Puts a row into the first free place on its way; the shard has one.
void KeyIndex::Place(Group* shard, uint64_t hash, uint32_t row) {
  uint32_t at = HomeOf(hash);
  for (;;) {
    Group& group = shard[at];
    const uint32_t empty = Match(group, kEmpty);
    const uint32_t free = empty | Match(group, kErased);
    if (free != 0) {
      const int place = std::countr_zero(free);
      if (((empty >> place) & 1) != 0) ++shard->control;
      group.tags[place] = TagOf(hash);
      group.rows[place] = row;
      return;
    }
    at = at + 1 == groups_ ? 0 : at + 1;
  }
}

void KeyIndex::Erase(uint64_t key) {
  const uint64_t hash = MixBits(key);
  Group* const shard = ShardOf(hash);
  const uint8_t tag = TagOf(hash);
  uint32_t at = HomeOf(hash);
  for (uint32_t probe = 0; probe < groups_; ++probe) {
    Group& group = shard[at];
    const bool has_empty = Match(group, kEmpty) != 0;
    for (uint32_t mask = Match(group, tag); mask != 0; mask &= mask - 1) {
      const int place = std::countr_zero(mask);
      if (RowLayout::Key(arena_->Address(group.rows[place])) != key) continue;
      // Keys that passed this group went on because it was full: it must go on looking so.
      group.tags[place] = has_empty ? kEmpty : kErased;
      if (has_empty) --shard->control;
      return;
    }
    if (has_empty) return;
    at = at + 1 == groups_ ? 0 : at + 1;
  }
}

Status KeyIndex::MakeRoom(uint64_t hash) {
  if (groups_ < kShardGroups) return GrowOnlyShard();
  return Split(hash);
}

// Moves all rows of `shard` to moving_rows_ and leaves it empty, with its depth.
void KeyIndex::TakeAll(Group* shard) {
  moving_rows_.clear();
  for (uint32_t g = 0; g < groups_; ++g) {
    for (int place = 0; place < kPlaces; ++place) {
      if (shard[g].tags[place] > kErased) moving_rows_.push_back(shard[g].rows[place]);
    }
  }
  const uint32_t depth = shard->control & ~kUsedMask;
  std::memset(static_cast<void*>(shard), 0, groups_ * sizeof(Group));
  shard->control = depth;
}

Status KeyIndex::GrowOnlyShard() {
  const uint32_t groups = groups_ * 2;
  std::unique_ptr<Group[]> grown;
  Group* shard = nullptr;
  if (groups < kShardGroups) {
    grown.reset(new Group[groups]());
    shard = grown.get();
  } else {
    ASSIGN_OR_RETURN(shard, NewShard());
  }
  TakeAll(directory_[0]);
  groups_ = groups;
  directory_[0] = shard;
  only_shard_ = std::move(grown);
  PlaceMoving();
  return OkStatus();
}

Status KeyIndex::Split(uint64_t hash) {
  TakeAll(ShardOf(hash));
  // Mostly erased places: having swept them is room enough.
  const bool swept = moving_rows_.size() <= LimitOf(groups_) * 3 / 4;
  const Status status = swept ? OkStatus() : AddSibling(hash);
  PlaceMoving();
  return status;
}

// Gives the upper half of a shard's keys a shard of their own.
Status KeyIndex::AddSibling(uint64_t hash) {
  Group* const lower = ShardOf(hash);
  const int depth = static_cast<int>(lower->control >> 24) + 1;
  if (depth > kMaxDepth) {
    return MakeStatus(absl::StatusCode::kResourceExhausted, "grow a table's index: too many keys");
  }
  ASSIGN_OR_RETURN(Group* const upper, NewShard());
  if (depth > depth_) {
    std::vector<Group*> doubled(directory_.size() * 2);
    for (size_t i = 0; i < doubled.size(); ++i) doubled[i] = directory_[i / 2];
    directory_ = std::move(doubled);
    ++depth_;
  }
  lower->control = upper->control = static_cast<uint32_t>(depth) << 24;
  // The directory's entries of the old shard lie together; the upper half becomes the new one's.
  const size_t entries = size_t{1} << (depth_ - depth);
  const size_t entry = uint64_t{Bend(hash)} >> (32 - depth_);
  std::fill_n(directory_.begin() + (entry / (2 * entries) * 2 + 1) * entries, entries, upper);
  return OkStatus();
}

// Where the keys of moving_rows_ belong now. Their rows lie anywhere: fetched ahead.
void KeyIndex::PlaceMoving() {
  constexpr size_t kAhead = 24;
  for (size_t i = 0; i < moving_rows_.size(); ++i) {
    if (i + kAhead < moving_rows_.size()) {
      __builtin_prefetch(arena_->Address(moving_rows_[i + kAhead]));
    }
    const uint64_t hash = MixBits(RowLayout::Key(arena_->Address(moving_rows_[i])));
    Place(ShardOf(hash), hash, moving_rows_[i]);
  }
}

StatusOr<KeyIndex::Group*> KeyIndex::NewShard() {
  constexpr size_t kShardBytes = kShardGroups * sizeof(Group);
  if (block_used_ == block_shards_) {
    int64_t shards = std::clamp<int64_t>(shards_, 4, kMaxBlockShards);
    if (shards_ >= kHugeFromShards) shards = std::max(shards, kHugeBlockShards);
    ASSIGN_OR_RETURN(HugeBlock block, HugeBlock::Allocate(shards * kShardBytes));
    blocks_.push_back(std::move(block));
    block_shards_ = shards;
    block_used_ = 0;
  }
  ++shards_;
  return reinterpret_cast<Group*>(blocks_.back().data() + block_used_++ * kShardBytes);
}

int64_t KeyIndex::memory_bytes() const {
  return std::max<int64_t>(shards_, 1) * groups_ * static_cast<int64_t>(sizeof(Group)) +
         static_cast<int64_t>(directory_.capacity() * sizeof(Group*) +
                              moving_rows_.capacity() * sizeof(uint32_t));
}

}  // namespace capstan
