// Some slices of a step: what a worker of a synchronous cluster does with its leases. The gradients
// are those of the same slices in Trainer, bit for bit.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/worker_pool.h"
#include "data/batch.h"
#include "model/model.h"
#include "model/row_gradients.h"
#include "params/parameters.h"
#include "params/slice_tree.h"
#include "tensor/aligned_vector.h"
#include "train/unique_keys.h"

namespace capstan {

// One trainer, one thread (the pool helps).
class SliceTrainer {
 public:
  // As Trainer::Create.
  static StatusOr<std::unique_ptr<SliceTrainer>> Create(const Model* model, Parameters* parameters,
                                                        WorkerPool* pool, int slices,
                                                        int max_batch);

  // One slice's gradients: rows of all pulled keys (zeros where the slice has none), and how often
  // each key stands in the slice.
  struct Slice {
    int number = 0;
    SliceResult result;
    int examples = 0;
    std::vector<std::span<const float>> rows;       // [table]: [keys, gradient_dim]
    std::vector<std::span<const uint32_t>> counts;  // [table][key]
    std::span<const float> logits;                  // [examples, OutputCount]
  };
  // Dense gradients, added up over a node of the tree of slices.
  struct Dense {
    SliceNode node;
    std::span<const float> sum;  // [dense size], or empty: no slice of it has examples
  };
  struct Result {
    std::vector<Slice> slices;
    std::vector<Dense> dense;  // the largest nodes that hold exactly the slices
  };
  // Pulls the rows of the slices' examples and computes. `slices`: distinct, in any order. Valid
  // until the next call.
  StatusOr<Result> Compute(int64_t step, const Batch& batch, std::span<const int32_t> slices);

 private:
  SliceTrainer(const Model* model, Parameters* parameters, WorkerPool* pool, int slices);

  struct Memory {
    UniqueKeys::Range range;
    AlignedVector<float> dense_gradient, dlogits, pooled;
    std::vector<float> logits;
    std::vector<std::vector<float>> rows;       // [table]
    std::vector<std::vector<uint32_t>> counts;  // [table]
    SliceResult result;
  };
  void ComputeSlice(int64_t step, const Batch& batch, Memory* memory, int worker);
  std::vector<Dense> AddDense(std::span<const int32_t> slices);

  const Model* const model_;
  Parameters* const parameters_;
  WorkerPool* const pool_;
  const int slices_, outputs_;
  UniqueKeys keys_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // [worker]
  std::vector<std::vector<float>> scratch_;             // [worker]
  std::vector<Memory> memory_;                          // [slice of the call]
  std::vector<AlignedVector<float>> sums_;              // [node of the call]
  PulledRows pulled_;
  BatchRows rows_;
  int64_t dense_version_ = 0;
};

}  // namespace capstan
