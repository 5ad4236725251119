// How well the true probabilities predict the labels drawn from them: no model can do better.
#pragma once

#include <cstdint>
#include <vector>

namespace capstan {

// Counts labels by logit in 65,536 equal bins over [-32, 32]; within a bin pairs count half, which
// moves the AUC by less than 1e-6 when logits spread over a few units. Counts do not depend on the
// order of rows; sums of losses do, so they are added by the caller in order.
class BestPossible {
 public:
  BestPossible() : negatives_(kBins), positives_(kBins) {}

  void Add(double logit, int label);
  void Merge(const BestPossible& other);

  double auc() const;
  double positive_rate() const;

  // -log of the probability given to the label.
  static double Loss(double logit, int label);

 private:
  static constexpr int kBins = 1 << 16;

  std::vector<int64_t> negatives_, positives_;
};

}  // namespace capstan
