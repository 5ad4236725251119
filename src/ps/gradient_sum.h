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

// One thread at a time (the pool helps).
class GradientSum {
 public:
  // `dims`: floats of a gradient row, by table. `dense`: where the values of a push go in the flat
  // array of `dense_size` floats.
  GradientSum(std::vector<int> dims, std::vector<FloatRange> dense, int64_t dense_size);

  // Whether all arrays of a part have the sizes that its keys ask for. Before Add.
  Status Check(const StoredPart& part) const;

  // Adds parts up in their order: rows from zeros on, dense gradients from the first part on, as
  // Trainer adds its slices; so the same bits. A single part of floats is used where it lies.
  void Add(std::span<const StoredPart* const> parts, WorkerPool* pool);

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
  void AddDense(std::span<const StoredPart* const> parts, int64_t message_offset,
                const FloatRange& range);

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
