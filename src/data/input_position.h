// Where a reader of the training data stands. Part of every checkpoint.
#pragma once

#include <cstdint>

namespace capstan {

// The examples of an epoch form one stream: the files in an order that (seed, epoch) gives, cut
// into blocks of `shuffle_block` examples, each block permuted by (seed, epoch, block), cut into
// batches; the last batch of an epoch may be short. So this small record determines all that
// follows.
struct InputPosition {
  int64_t epoch = 0;
  int64_t block = 0;    // in the epoch
  int64_t batch = 0;    // in the epoch: the next one
  int64_t example = 0;  // of the block's permutation: the next one
  // Where the block starts: number of the file in the epoch's order, record in it, byte offset
  // there.
  int64_t file = 0;
  int64_t record = 0;
  int64_t offset = 0;
  bool operator==(const InputPosition&) const = default;
};

constexpr int kInputPositionFields = 7;

}  // namespace capstan
