#include "data/record_block.h"

#include <algorithm>
#include <cstring>

namespace capstan {
namespace {
constexpr size_t kSlabBytes = size_t{4} << 20;
// A slab for one large record is not kept for the next block.
constexpr size_t kKeptSlabBytes = 4 * kSlabBytes;
}  // namespace

RecordArena::Slab RecordArena::NewSlab(size_t capacity) {
  Slab slab;
  slab.capacity = capacity;
  StatusOr<HugeBlock> pages = HugeBlock::Allocate(capacity);
  if (pages.ok()) {
    slab.pages = std::move(*pages);
  } else {
    slab.small = std::make_unique_for_overwrite<char[]>(capacity);
  }
  return slab;
}

const char* RecordArena::Add(std::string_view bytes) {
  while (slab_ < slabs_.size() && slabs_[slab_].capacity - used_ < bytes.size()) {
    ++slab_;
    used_ = 0;
  }
  if (slab_ == slabs_.size()) {
    const size_t capacity = std::max(kSlabBytes, bytes.size());
    slabs_.push_back(NewSlab(capacity));
    used_ = 0;
  }
  char* const place = slabs_[slab_].bytes() + used_;
  if (!bytes.empty()) std::memcpy(place, bytes.data(), bytes.size());
  used_ += bytes.size();
  size_bytes_ += bytes.size();
  return place;
}

void RecordArena::Clear() {
  std::erase_if(slabs_, [](const Slab& slab) { return slab.capacity > kKeptSlabBytes; });
  slab_ = used_ = size_bytes_ = 0;
}

void RecordBlock::Clear() {
  entries.clear();
  order.clear();
  damages.clear();
  arena.Clear();
  ends_epoch = false;
  uses = 0;
}

}  // namespace capstan
