#include "model/evaluation_accumulator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/loss.h"

namespace capstan {
namespace {
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
}  // namespace

EvaluationAccumulator::EvaluationAccumulator(const ModelSpec& spec)
    : spec_(spec), outputs_(OutputCount(spec)) {}

void EvaluationAccumulator::Add(const Batch& batch, std::span<const float> logits) {
  const size_t before = labels_.size();
  labels_.insert(labels_.end(), batch.labels.begin(), batch.labels.end());
  groups_.insert(groups_.end(), batch.groups.begin(), batch.groups.end());
  if (!batch.example_weights.empty() || !weights_.empty()) {
    weights_.resize(before, 1.0f);
    weights_.insert(weights_.end(), batch.example_weights.begin(), batch.example_weights.end());
    weights_.resize(labels_.size(), 1.0f);
  }
  std::vector<float> predictions;
  ToPredictions(spec_, logits, &predictions);
  predictions_.insert(predictions_.end(), predictions.begin(), predictions.end());
  std::vector<float> dlogits(logits.size());
  const SliceResult loss =
      LossAndGradient(spec_, batch, 0, batch.size, logits.data(), dlogits.data());
  loss_sum_ += loss.loss_sum;
  loss_weight_ += loss.weight_sum;
  if (spec_.loss != Loss::kMeanSquare) {
    AddClassification(batch, logits);
  }
  for (int i = 0; i < batch.size; ++i) {
    const double weight = batch.example_weights.empty() ? 1.0 : batch.example_weights[i];
    weight_sum_ += weight;
    label_sum_ += weight * batch.labels[i];
    if (predictions.size() == static_cast<size_t>(batch.size)) {
      prediction_sum_ += weight * predictions[i];
    }
  }
}

void EvaluationAccumulator::AddClassification(const Batch& batch, std::span<const float> logits) {
  ModelSpec plain = spec_;
  plain.class_weights.clear();
  for (int i = 0; i < batch.size; ++i) {
    const double weight = batch.example_weights.empty() ? 1.0 : batch.example_weights[i];
    const float* x = logits.data() + static_cast<size_t>(i) * outputs_;
    double class_weight;
    log_loss_sum_ += weight * LossOf(plain, x, batch.labels[i], &class_weight);
    const int64_t chosen = outputs_ == 1 ? *x > 0 : std::max_element(x, x + outputs_) - x;
    if (chosen == std::lround(batch.labels[i])) correct_ += weight;
  }
}

EvaluationResult EvaluationAccumulator::Result() const {
  EvaluationResult result{.examples = examples()};
  result.accuracy = result.auc = result.auc_pr = result.gauc = kNan;
  result.log_loss = result.calibration = result.rmse = result.r2 = kNan;
  result.loss = loss_weight_ > 0 ? loss_sum_ / loss_weight_ : kNan;
  if (weight_sum_ <= 0) return result;
  if (predictions_.size() == labels_.size() && label_sum_ != 0) {
    result.calibration = prediction_sum_ / label_sum_;
  }
  if (spec_.loss == Loss::kMeanSquare) {
    SetRegression(&result);
  } else {
    SetClassification(&result);
  }
  return result;
}

void EvaluationAccumulator::SetRegression(EvaluationResult* result) const {
  const double mean = label_sum_ / weight_sum_;
  double residual = 0, variance = 0;
  for (size_t i = 0; i < labels_.size(); ++i) {
    const double weight = weights_.empty() ? 1.0 : weights_[i];
    residual += weight * std::pow(static_cast<double>(predictions_[i]) - labels_[i], 2);
    variance += weight * std::pow(labels_[i] - mean, 2);
  }
  result->rmse = std::sqrt(residual / weight_sum_);
  result->r2 = variance > 0 ? 1 - residual / variance : kNan;
}

void EvaluationAccumulator::SetClassification(EvaluationResult* result) const {
  result->accuracy = correct_ / weight_sum_;
  result->log_loss = log_loss_sum_ / weight_sum_;
  if (spec_.classes > 2) {
    result->auc = MacroAuc();
    return;
  }
  result->auc = Auc(predictions_, labels_, weights_);
  result->auc_pr = AucPr(predictions_, labels_, weights_);
  if (!groups_.empty()) result->gauc = GroupAuc(predictions_, labels_, weights_, groups_);
}

// The mean of one-against-rest over the classes that have examples and do not have all.
double EvaluationAccumulator::MacroAuc() const {
  double sum = 0;
  int count = 0;
  std::vector<float> scores(labels_.size()), labels(labels_.size());
  for (int c = 0; c < spec_.classes; ++c) {
    for (size_t i = 0; i < labels_.size(); ++i) {
      scores[i] = predictions_[i * spec_.classes + c];
      labels[i] = std::lround(labels_[i]) == c ? 1.0f : 0.0f;
    }
    const double auc = Auc(scores, labels, weights_);
    if (std::isnan(auc)) continue;
    sum += auc;
    ++count;
  }
  return count > 0 ? sum / count : kNan;
}

void WindowedAuc::Add(std::span<const float> scores, std::span<const float> labels) {
  for (size_t i = 0; i < scores.size(); ++i) {
    if (static_cast<int64_t>(scores_.size()) < capacity_) {
      scores_.push_back(scores[i]);
      labels_.push_back(labels[i]);
      continue;
    }
    scores_[next_] = scores[i];
    labels_[next_] = labels[i];
    next_ = (next_ + 1) % scores_.size();
  }
}

}  // namespace capstan
