// Metrics of a pass over labelled examples, batch by batch.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/batch.h"
#include "model/metrics.h"
#include "model/model_spec.h"

namespace capstan {

// Keeps predictions, labels, weights and groups of all examples (4 to 20 bytes each and 4 for each
// class): exact metrics want them all.
class EvaluationAccumulator {
 public:
  explicit EvaluationAccumulator(const ModelSpec& spec);

  // `logits` [batch size, OutputCount].
  void Add(const Batch& batch, std::span<const float> logits);

  int64_t examples() const { return static_cast<int64_t>(labels_.size()); }

  // Accuracy: the most probable class (sigmoid: above 1/2) is the label. Averages are weighted by
  // example weights; the loss by class weights too.
  EvaluationResult Result() const;

 private:
  void AddClassification(const Batch& batch, std::span<const float> logits);
  void SetRegression(EvaluationResult* result) const;
  void SetClassification(EvaluationResult* result) const;
  double MacroAuc() const;

  const ModelSpec spec_;
  const int outputs_;
  std::vector<float> predictions_;  // [examples] or, for more than 2 classes, [examples, classes]
  std::vector<float> labels_;
  std::vector<float> weights_;  // empty: all 1
  std::vector<uint64_t> groups_;
  double loss_sum_ = 0, loss_weight_ = 0;
  double weight_sum_ = 0, correct_ = 0, log_loss_sum_ = 0;
  double prediction_sum_ = 0, label_sum_ = 0;
};

// AUC of the last `capacity` examples, while training runs.
class WindowedAuc {
 public:
  explicit WindowedAuc(int64_t capacity) : capacity_(capacity) {}

  void Add(std::span<const float> scores, std::span<const float> labels);
  // NaN when a class is missing.
  double Value() const { return Auc(scores_, labels_, {}); }

 private:
  const int64_t capacity_;
  size_t next_ = 0;  // the oldest, once full
  std::vector<float> scores_, labels_;
};

}  // namespace capstan
