// Blocks → pieces of blocks, one batch each.
#pragma once

#include <cstdint>
#include <vector>

#include "data/input_position.h"
#include "data/record_block.h"

namespace capstan {

// Which records become one batch: entries order[begin … end-1] of each piece's block.
struct BatchTask {
  struct Piece {
    RecordBlock* block = nullptr;
    size_t begin = 0, end = 0;
  };
  int64_t sequence = 0;  // number in the stream
  std::vector<Piece> pieces;
  InputPosition after;  // where to go on
};

// Batches of `batch_size` records; a shorter one at the end of an epoch and of the last block. One
// thread.
class BatchCutter {
 public:
  // `permuted`: positions are a block's start and a place in its permutation; else those of
  // records.
  BatchCutter(int64_t batch_size, bool permuted, const InputPosition& start);

  // The blocks in order. Appends the tasks that are whole now and raises `uses` of blocks by one
  // for each piece, also of a piece that waits for the next block. An error when the first block
  // ends before the position.
  Status Add(RecordBlock* block, bool is_last, std::vector<BatchTask>* tasks);

 private:
  InputPosition PositionAt(const RecordBlock& block, size_t index, bool is_last) const;

  const size_t batch_size_;
  const bool permuted_;
  size_t skip_;    // records of the first block that came before
  int64_t batch_;  // in the epoch; of one block: in the block
  int64_t sequence_ = 0;
  size_t waiting_ = 0;  // records in task_
  BatchTask task_;
};

}  // namespace capstan
