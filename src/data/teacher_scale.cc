#include "data/teacher_scale.h"

#include <algorithm>
#include <cmath>

namespace capstan {
namespace {

constexpr int kBisections = 30;

double FitBias(const std::vector<double>& scores, double scale, double positive_rate) {
  double low = -50, high = 50;
  for (int i = 0; i < kBisections; ++i) {
    const double bias = (low + high) / 2;
    double sum = 0;
    for (const double score : scores) sum += Sigmoid(bias + scale * score);
    (sum < positive_rate * static_cast<double>(scores.size()) ? low : high) = bias;
  }
  return (low + high) / 2;
}

// Of sorted scores: the chance that a positive drawn by its probability stands above a negative.
double ExpectedAuc(const std::vector<double>& sorted, const TeacherScale& fit) {
  double negatives = 0, positives = 0, pairs = 0;
  for (const double score : sorted) {
    const double p = Sigmoid(fit.bias + fit.scale * score);
    pairs += p * (negatives + 0.5 * (1 - p));
    positives += p;
    negatives += 1 - p;
  }
  return pairs / (positives * negatives);
}

}  // namespace

double Sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

TeacherScale FitTeacherScale(std::vector<double> scores, double positive_rate, double auc) {
  std::sort(scores.begin(), scores.end());
  double low = 0, high = 20;
  TeacherScale fit;
  for (int i = 0; i < kBisections; ++i) {
    fit.scale = (low + high) / 2;
    fit.bias = FitBias(scores, fit.scale, positive_rate);
    (ExpectedAuc(scores, fit) < auc ? low : high) = fit.scale;
  }
  return fit;
}

Standardiser MeasureSample(const std::vector<double>& sample) {
  double sum = 0, squares = 0;
  for (const double x : sample) sum += x;
  const double mean = sum / static_cast<double>(sample.size());
  for (const double x : sample) squares += (x - mean) * (x - mean);
  const double stddev = std::sqrt(squares / static_cast<double>(sample.size()));
  return {mean, stddev > 0 ? stddev : 1.0};
}

}  // namespace capstan
