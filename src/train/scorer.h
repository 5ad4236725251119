// A model applied to batches, as in inference: nothing is learnt or counted.
#pragma once

#include <memory>
#include <vector>

#include "base/status.h"
#include "base/worker_pool.h"
#include "data/batch.h"
#include "data/batch_stream.h"
#include "model/metrics.h"
#include "model/model.h"
#include "params/parameters.h"
#include "train/unique_keys.h"

namespace capstan {

// One scorer, one thread (the pool helps). Model, parameters and pool must outlive it.
class Scorer {
 public:
  // Batches of at most `max_batch` examples.
  static StatusOr<std::unique_ptr<Scorer>> Create(const Model* model, Parameters* parameters,
                                                  WorkerPool* pool, int max_batch);

  // logits: [batch, OutputCount].
  Status Score(const Batch& batch, std::vector<float>* logits);

  const Model& model() const { return *model_; }

 private:
  Scorer(const Model* model, Parameters* parameters, WorkerPool* pool);

  const Model* const model_;
  Parameters* const parameters_;
  WorkerPool* const pool_;
  int slice_ = 0;  // examples that one task takes
  UniqueKeys keys_;
  std::vector<std::unique_ptr<Workspace>> workspaces_;  // [worker]
  PulledRows pulled_;
  BatchRows rows_;
};

// A full pass over the files.
StatusOr<EvaluationResult> Evaluate(FileSystem& fs, const BatchStreamOptions& options,
                                    Scorer* scorer);

}  // namespace capstan
