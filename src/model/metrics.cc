#include "model/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace capstan {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Examples in order of their scores. Scores become integers of the same order (and −0 = 0), then a
// radix sort by 11 bits at a time.
struct Ranked {
  uint32_t order = 0;   // ascending with the score
  uint32_t number = 0;  // of the example
};

uint32_t OrderOf(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

std::vector<Ranked> Rank(std::span<const float> scores) {
  std::vector<Ranked> ranked(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    ranked[i] = {OrderOf(scores[i]), static_cast<uint32_t>(i)};
  }
  if (scores.size() < 4096) {
    std::sort(ranked.begin(), ranked.end(),
              [](const Ranked& a, const Ranked& b) { return a.order < b.order; });
    return ranked;
  }
  std::vector<Ranked> other(scores.size());
  for (const int shift : {0, 11, 22}) {
    std::vector<size_t> begin(2049);
    for (const Ranked& r : ranked) ++begin[((r.order >> shift) & 2047) + 1];
    std::partial_sum(begin.begin(), begin.end(), begin.begin());
    for (const Ranked& r : ranked) other[begin[(r.order >> shift) & 2047]++] = r;
    ranked.swap(other);
  }
  return ranked;
}

// Weights of the examples of one score, by label.
struct Tie {
  double positive = 0, negative = 0;
};

// Ties in descending order of score.
std::vector<Tie> TiesDescending(std::span<const float> scores, std::span<const float> labels,
                                std::span<const float> weights) {
  const std::vector<Ranked> ranked = Rank(scores);
  std::vector<Tie> ties;
  for (size_t i = ranked.size(); i-- > 0;) {
    if (i + 1 == ranked.size() || ranked[i].order != ranked[i + 1].order) ties.emplace_back();
    const uint32_t number = ranked[i].number;
    const double weight = weights.empty() ? 1.0 : weights[number];
    (labels[number] > 0.5f ? ties.back().positive : ties.back().negative) += weight;
  }
  return ties;
}

}  // namespace

double Auc(std::span<const float> scores, std::span<const float> labels,
           std::span<const float> weights) {
  double positive = 0, negative = 0, area = 0;
  for (const Tie& tie : TiesDescending(scores, labels, weights)) {
    area += tie.negative * (positive + 0.5 * tie.positive);
    positive += tie.positive;
    negative += tie.negative;
  }
  return positive > 0 && negative > 0 ? area / (positive * negative) : kNan;
}

double AucPr(std::span<const float> scores, std::span<const float> labels,
             std::span<const float> weights) {
  double positive = 0, all = 0, area = 0;
  for (const Tie& tie : TiesDescending(scores, labels, weights)) {
    positive += tie.positive;
    all += tie.positive + tie.negative;
    if (tie.positive > 0) area += tie.positive * positive / all;
  }
  return positive > 0 && positive < all ? area / positive : kNan;
}

double GroupAuc(std::span<const float> scores, std::span<const float> labels,
                std::span<const float> weights, std::span<const uint64_t> groups) {
  std::vector<uint32_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return groups[a] < groups[b]; });
  double sum = 0, weight_sum = 0;
  std::vector<float> group_scores, group_labels, group_weights;
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    group_scores.clear();
    group_labels.clear();
    group_weights.clear();
    double weight = 0;
    for (end = begin; end < order.size() && groups[order[end]] == groups[order[begin]]; ++end) {
      const uint32_t i = order[end];
      group_scores.push_back(scores[i]);
      group_labels.push_back(labels[i]);
      group_weights.push_back(weights.empty() ? 1.0f : weights[i]);
      weight += group_weights.back();
    }
    const double auc = Auc(group_scores, group_labels, group_weights);
    if (std::isnan(auc)) continue;
    sum += auc * weight;
    weight_sum += weight;
  }
  return weight_sum > 0 ? sum / weight_sum : kNan;
}

}  // namespace capstan
