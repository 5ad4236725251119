#include "data/best_possible.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace capstan {

void BestPossible::Add(double logit, int label) {
  const double place = (logit + 32.0) * (kBins / 64.0);
  const int bin = static_cast<int>(std::clamp(place, 0.0, kBins - 1.0));
  ++(label != 0 ? positives_ : negatives_)[bin];
}

void BestPossible::Merge(const BestPossible& other) {
  for (int i = 0; i < kBins; ++i) {
    negatives_[i] += other.negatives_[i];
    positives_[i] += other.positives_[i];
  }
}

double BestPossible::auc() const {
  double below = 0, positives = 0, pairs = 0;
  for (int i = 0; i < kBins; ++i) {
    const auto p = static_cast<double>(positives_[i]), n = static_cast<double>(negatives_[i]);
    pairs += p * (below + 0.5 * n);
    below += n;
    positives += p;
  }
  return pairs / (positives * below);  // NaN when a class is missing
}

double BestPossible::positive_rate() const {
  const auto sum = [](const std::vector<int64_t>& counts) {
    return static_cast<double>(std::accumulate(counts.begin(), counts.end(), int64_t{0}));
  };
  const double positives = sum(positives_);
  return positives / (positives + sum(negatives_));
}

double BestPossible::Loss(double logit, int label) {
  const double wrong_way = label != 0 ? -logit : logit;
  // log(1 + e^x) without overflow.
  return std::max(wrong_way, 0.0) + std::log1p(std::exp(-std::abs(wrong_way)));
}

}  // namespace capstan
