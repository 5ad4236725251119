// Raw records that are permuted together, with their places.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

#include "base/huge_pages.h"
#include "base/status.h"
#include "data/input_position.h"

namespace capstan {

// Bytes that stay where they are put; Clear() keeps the memory.
class RecordArena {
 public:
  const char* Add(std::string_view bytes);
  void Clear();
  size_t size_bytes() const { return size_bytes_; }  // of what was added

 private:
  // On large pages: a permuted block is read at random.
  struct Slab {
    HugeBlock pages;
    std::unique_ptr<char[]> small;  // where the system gave no pages
    size_t capacity = 0;

    char* bytes() const { return small != nullptr ? small.get() : pages.data(); }
  };

  static Slab NewSlab(size_t capacity);

  std::vector<Slab> slabs_;
  size_t slab_ = 0;  // the one that is being filled
  size_t used_ = 0;  // of it
  size_t size_bytes_ = 0;
};

struct RecordBlock {
  struct Entry {
    const char* data = nullptr;
    uint32_t size_bytes = 0;
    int32_t damage = -1;  // in `damages`: why there is no record
    uint32_t file = 0;    // number in the epoch's order
    int64_t record = 0;
    uint64_t offset = 0;

    std::string_view bytes() const { return {data, size_bytes}; }
  };

  std::vector<Entry> entries;        // as they lie in the files
  std::vector<uint32_t> order;       // the permutation
  std::deque<Status> damages;        // whole sentences
  std::vector<uint32_t> file_order;  // number in the epoch's order → in the list of paths
  InputPosition start;               // of the block; batch is not set
  InputPosition next;                // of the block behind it, maybe in the next epoch
  bool ends_epoch = false;
  RecordArena arena;
  int uses = 0;  // batches that are still to be made of it

  void Clear();
};

}  // namespace capstan
