// The last examples that were trained on, for train_acc and train_auc of a report: predictions as
// they were before each update, so no example is looked at twice.
#pragma once

#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "data/batch.h"
#include "model/metrics.h"
#include "model/model_spec.h"

namespace capstan {

class TrainingWindow {
 public:
  // Whole batches are kept, as few as make `examples`.
  TrainingWindow(const ModelSpec& spec, int64_t examples);

  // logits: [batch, OutputCount].
  void Add(const Batch& batch, std::span<const float> logits);
  // Accuracy and AUC of what is in the window.
  EvaluationResult Result() const;

 private:
  struct Entry {
    Batch batch;  // labels only
    std::vector<float> logits;
  };

  const ModelSpec spec_;
  const int64_t examples_;
  int64_t held_ = 0;
  std::deque<Entry> entries_;
};

}  // namespace capstan
