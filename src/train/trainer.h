// One training step after another: batch → keys → Pull → slices → gradients → Push. The same loop
// for one process and for a cluster: only the Parameters differ.
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

struct StepResult {
  double loss = 0;  // mean over the batch, without regularisation
  std::span<const float>
      logits;  // [batch, OutputCount], before the update; valid until the next step
};

// Deterministic: the same batches give the same bits for any number of workers, because a batch is
// cut into a fixed number of slices whose gradients are added in one order: those of rows slice by
// slice, dense ones as slice_tree.h says.
class Trainer {
 public:
  // `model`, `parameters` and `pool` must outlive the trainer. `slices` > 0 per batch; `max_batch`
  // is the largest batch that will come.
  static StatusOr<std::unique_ptr<Trainer>> Create(const Model* model, Parameters* parameters,
                                                   WorkerPool* pool, int slices, int max_batch);

  // The step's number, from 1. An error when the loss is not a finite number: nothing is updated
  // then. `next`: the batch of the next step, if its pull is to begin beside this step; it has
  // another position, and is not looked at after the call.
  StatusOr<StepResult> Step(int64_t step, const Batch& batch, const Batch* next = nullptr);

 private:
  Trainer(const Model* model, Parameters* parameters, WorkerPool* pool, int slices);

  struct Slice {
    int begin = 0, end = 0;
    AlignedVector<float> dense_gradient;  // [dense size]
    AlignedVector<float> dlogits;         // [examples, outputs]
    AlignedVector<float> pooled;          // [examples, pooled width]
    SliceResult result;
  };
  void BuildKeys(const Batch& batch);
  Status StartNext(int64_t step, const Batch& next);
  void ComputeSlices(int64_t step, const Batch& batch);
  void MergeGradients(const Batch& batch);
  void AddDense(int64_t begin, int64_t end);

  const Model* const model_;
  Parameters* const parameters_;
  WorkerPool* const pool_;
  const int outputs_;
  UniqueKeys keys_;  // of the batch
  UniqueKeys next_keys_;
  bool has_next_ = false;  // next_keys_ are those of the batch at next_position_
  InputPosition next_position_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // [worker]
  std::vector<std::vector<float>> scratch_;             // [worker]
  std::vector<Slice> slices_;
  std::vector<SliceGradients> slice_gradients_;
  std::vector<SliceNode> leaves_;  // of the tree: the slices
  std::vector<int64_t> by_size_;   // tables, the most work first
  PulledRows pulled_;
  BatchRows rows_;
  std::vector<float> logits_;
  std::vector<std::vector<float>> row_gradients_;  // [table]
  AlignedVector<float> dense_gradient_;
  int64_t dense_version_ = 0;  // rises with every step: the weights may have changed
};

}  // namespace capstan
