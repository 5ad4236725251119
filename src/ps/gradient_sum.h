// Pushed gradients of one step, as they came, made into what LocalParameters applies.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/worker_pool.h"
#include "params/parameters.h"
#include "ps/messages.h"
#include "tensor/aligned_vector.h"

namespace capstan {

// Floats [offset, offset + count) of a flat array that lie back to back with others in a message.
struct FloatRange {
  int64_t offset = 0, count = 0;
};

// [table], sorted.
using KeyLists = std::vector<std::vector<uint64_t>>;

// A part of a push with all that it looks into.
struct StoredPart {
  std::shared_ptr<const std::string> message;
  std::shared_ptr<const KeyLists> keys;  // of the pull
  ValueFormat format = ValueFormat::kFloat32;
  PushPart part;
};
struct StoredDense {
  std::shared_ptr<const std::string> message;
  ValueFormat format = ValueFormat::kFloat32;
  PushDense sum;
};

// One thread at a time (the pool helps).
class GradientSum {
 public:
  // `dims`: floats of a gradient row, by table. `dense`: where the values of a push go in the flat
  // array of `dense_size` floats.
  GradientSum(std::vector<int> dims, std::vector<FloatRange> dense, int64_t dense_size);

  // Whether all arrays have the sizes that the keys, or the server's dense pieces, ask for. Before
  // Add.
  Status Check(const StoredPart& part) const;
  Status Check(const StoredDense& dense) const;

  // Adds up as Trainer adds its slices, so with the same bits: rows in the order of the parts, from
  // zeros on; dense gradients as the tree of so many slices says, whose nodes `dense` are, in order
  // (slice_tree.h; CoverSliceTree must be true of them). A single part of floats is used where it
  // lies.
  void Add(std::span<const StoredPart* const> parts, std::span<const StoredDense* const> dense,
           int slices, WorkerPool* pool);

  // Of the last Add; keys that some part touched, sorted. Valid while its parts are.
  std::span<const TableKeys> keys() const { return keys_; }
  const Gradients& gradients() const { return gradients_; }

 private:
  struct Table {
    std::vector<uint64_t> keys;
    std::vector<uint32_t> counts;
    AlignedVector<float> rows;
  };
  void AddTable(std::span<const StoredPart* const> parts, int table);
  void AddDense(std::span<const StoredDense* const> dense, std::span<const SliceNode> nodes,
                int slices, int64_t message_offset, const FloatRange& range);

  const std::vector<int> dims_;
  std::vector<FloatRange> dense_;         // pieces of a bounded size …
  std::vector<int64_t> message_offsets_;  // … and where each begins in a message, in floats
  int64_t message_floats_ = 0;
  std::vector<Table> tables_;
  AlignedVector<float> dense_sum_;
  std::vector<TableKeys> keys_;
  Gradients gradients_;
};

}  // namespace capstan
