// All records of all epochs, block by block, each block permuted: the order of training.
#pragma once

#include <atomic>

#include "base/file_system.h"
#include "base/status.h"
#include "data/record_block.h"
#include "data/record_walk.h"

namespace capstan {

struct BlockReaderOptions {
  RecordWalkOptions records;
  bool permute = true;  // each block; else records stay as they lie
};

// One reader, one thread. What cannot be read becomes an entry with the reason (record_walk.h).
class BlockReader {
 public:
  BlockReader(FileSystem& fs, const BlockReaderOptions& options);

  // Goes to a position. An error if it does not fit the files.
  Status Start(const InputPosition& position);

  // Fills an empty block, whose `next` is the start of the block to come; false at the end of the
  // last epoch, or once `stop` is set.
  bool Next(const std::atomic<bool>& stop, RecordBlock* block);

 private:
  void Add(RecordBlock* block) const;
  void PermuteBlock(RecordBlock* block) const;

  const bool permute_;
  const uint64_t seed_;
  RecordWalk walk_;
};

}  // namespace capstan
