#include "model/metrics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "model/evaluation_accumulator.h"

namespace capstan {
namespace {

struct Sample {
  std::vector<float> scores, labels, weights;
  std::vector<uint64_t> groups;
};

// Scores of few values: many ties.
Sample RandomSample(int count, uint64_t seed, int distinct) {
  RandomStream random(seed);
  Sample sample;
  for (int i = 0; i < count; ++i) {
    sample.labels.push_back(static_cast<float>(random.Below(2)));
    const double score = static_cast<double>(random.Below(distinct)) / distinct - 0.5;
    sample.scores.push_back(static_cast<float>(score + 0.1 * sample.labels.back()));
    sample.weights.push_back(static_cast<float>(random.Uniform()));
    sample.groups.push_back(random.Below(7));
  }
  return sample;
}

double PlainAuc(const Sample& s, bool weighted) {
  double wins = 0, pairs = 0;
  for (size_t i = 0; i < s.scores.size(); ++i) {
    for (size_t j = 0; j < s.scores.size(); ++j) {
      if (s.labels[i] != 1 || s.labels[j] != 0) continue;
      const double weight = weighted ? static_cast<double>(s.weights[i]) * s.weights[j] : 1.0;
      pairs += weight;
      wins += weight * (s.scores[i] > s.scores[j] ? 1.0 : s.scores[i] == s.scores[j] ? 0.5 : 0.0);
    }
  }
  return wins / pairs;
}

TEST(MetricsTest, AucEqualsTheShareOfPairs) {
  for (const int distinct : {3, 1000000}) {
    const Sample s = RandomSample(800, 1, distinct);
    EXPECT_NEAR(Auc(s.scores, s.labels, {}), PlainAuc(s, false), 1e-12);
    EXPECT_NEAR(Auc(s.scores, s.labels, s.weights), PlainAuc(s, true), 1e-9);
  }
  // Enough for the radix sort.
  const Sample s = RandomSample(5000, 2, 700);
  EXPECT_NEAR(Auc(s.scores, s.labels, {}), PlainAuc(s, false), 1e-12);
}

TEST(MetricsTest, OneClassHasNoAuc) {
  EXPECT_TRUE(std::isnan(Auc(std::vector<float>{1, 2}, std::vector<float>{1, 1}, {})));
  EXPECT_TRUE(std::isnan(Auc({}, {}, {})));
  EXPECT_EQ(Auc(std::vector<float>{-0.0f, 0.0f}, std::vector<float>{1, 0}, {}), 0.5);
}

TEST(MetricsTest, AucPrIsAveragePrecision) {
  // Thresholds 0.9 (1 of 1), 0.8 (1 of 2), 0.7 (2 of 3), 0.1 (2 of 4).
  EXPECT_NEAR(AucPr(std::vector<float>{0.9f, 0.8f, 0.7f, 0.1f}, std::vector<float>{1, 0, 1, 0}, {}),
              0.5 * 1.0 + 0.5 * 2.0 / 3.0, 1e-12);
  const Sample s = RandomSample(300, 3, 10);
  double area = 0, positives = 0;
  for (size_t i = 0; i < s.scores.size(); ++i) {
    if (s.labels[i] != 1) continue;
    double above = 0, positive_above = 0;
    for (size_t j = 0; j < s.scores.size(); ++j) {
      if (s.scores[j] < s.scores[i]) continue;
      above += s.weights[j];
      positive_above += s.labels[j] * s.weights[j];
    }
    area += s.weights[i] * positive_above / above;
    positives += s.weights[i];
  }
  EXPECT_NEAR(AucPr(s.scores, s.labels, s.weights), area / positives, 1e-9);
}

TEST(MetricsTest, GroupAucIsAnAverageOfGroups) {
  Sample s = RandomSample(200, 4, 50);
  for (size_t i = 0; i < s.groups.size(); ++i) {
    if (s.groups[i] == 3) s.labels[i] = 1;  // one class only: left out
  }
  double sum = 0, weights = 0;
  for (uint64_t group = 0; group < 7; ++group) {
    Sample part;
    double weight = 0;
    for (size_t i = 0; i < s.groups.size(); ++i) {
      if (s.groups[i] != group) continue;
      part.scores.push_back(s.scores[i]);
      part.labels.push_back(s.labels[i]);
      part.weights.push_back(s.weights[i]);
      weight += s.weights[i];
    }
    if (group == 3) continue;
    sum += weight * PlainAuc(part, true);
    weights += weight;
  }
  EXPECT_NEAR(GroupAuc(s.scores, s.labels, s.weights, s.groups), sum / weights, 1e-6);
}

Batch BatchOf(std::vector<float> labels) {
  Batch batch;
  batch.size = static_cast<int>(labels.size());
  batch.labels = std::move(labels);
  return batch;
}

TEST(EvaluationAccumulatorTest, Binary) {
  ModelSpec spec;
  EvaluationAccumulator accumulator(spec);
  Batch first = BatchOf({1, 0, 0}), second = BatchOf({1});
  first.groups = {1, 1, 2};
  second.groups = {2};
  accumulator.Add(first, std::vector<float>{2.0f, -1.0f, 0.5f});
  accumulator.Add(second, std::vector<float>{-0.25f});
  const EvaluationResult result = accumulator.Result();
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_EQ(result.examples, 4);
  EXPECT_DOUBLE_EQ(result.accuracy, 0.5);
  EXPECT_DOUBLE_EQ(result.auc, 0.75);
  EXPECT_DOUBLE_EQ(result.gauc, 0.5);
  const double loss = -(std::log(sigmoid(2)) + std::log(sigmoid(1)) + std::log(sigmoid(-0.5)) +
                        std::log(sigmoid(-0.25))) /
                      4;
  EXPECT_NEAR(result.loss, loss, 1e-6);
  EXPECT_NEAR(result.log_loss, loss, 1e-6);
  EXPECT_NEAR(result.calibration, (sigmoid(2) + sigmoid(-1) + sigmoid(0.5) + sigmoid(-0.25)) / 2,
              1e-6);
  EXPECT_TRUE(std::isnan(result.rmse));
}

TEST(EvaluationAccumulatorTest, WeightsCountExamplesSeveralTimes) {
  ModelSpec spec;
  spec.class_weights = {1.0f, 3.0f};
  EvaluationAccumulator weighted(spec), repeated(spec);
  Batch batch = BatchOf({1, 0, 1});
  batch.example_weights = {2.0f, 1.0f, 0.0f};
  weighted.Add(batch, std::vector<float>{0.5f, 1.0f, -3.0f});
  repeated.Add(BatchOf({1, 1, 0}), std::vector<float>{0.5f, 0.5f, 1.0f});
  const EvaluationResult a = weighted.Result(), b = repeated.Result();
  EXPECT_NEAR(a.loss, b.loss, 1e-6);
  EXPECT_NEAR(a.log_loss, b.log_loss, 1e-6);
  EXPECT_NEAR(a.accuracy, b.accuracy, 1e-12);
  EXPECT_NEAR(a.auc, b.auc, 1e-12);
  EXPECT_NE(a.loss, a.log_loss);  // class weights are in the loss only
}

TEST(EvaluationAccumulatorTest, ClassesAndRegression) {
  ModelSpec spec;
  spec.loss = Loss::kSoftmax;
  spec.classes = 3;
  EvaluationAccumulator classes(spec);
  classes.Add(BatchOf({0, 1, 2, 2}), std::vector<float>{3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 1, 0});
  EvaluationResult result = classes.Result();
  EXPECT_DOUBLE_EQ(result.accuracy, 0.75);
  // Class 0: 1; class 1: 1; class 2: the last one ties with two of the others at best.
  EXPECT_GT(result.auc, 0.8);
  EXPECT_LE(result.auc, 1.0);
  EXPECT_TRUE(std::isnan(result.auc_pr));

  spec.loss = Loss::kMeanSquare;
  EvaluationAccumulator regression(spec);
  regression.Add(BatchOf({1, 2, 3}), std::vector<float>{1, 2, 5});
  result = regression.Result();
  EXPECT_NEAR(result.rmse, std::sqrt(4.0 / 3), 1e-6);
  EXPECT_NEAR(result.loss, 4.0 / 3, 1e-6);
  EXPECT_NEAR(result.r2, 1 - 4.0 / 2, 1e-6);
  EXPECT_TRUE(std::isnan(result.auc));
}

TEST(WindowedAucTest, ForgetsTheOldest) {
  WindowedAuc window(4);
  EXPECT_TRUE(std::isnan(window.Value()));
  window.Add(std::vector<float>{0, 1, 0, 1}, std::vector<float>{1, 0, 1, 0});
  EXPECT_EQ(window.Value(), 0.0);
  window.Add(std::vector<float>{0, 1}, std::vector<float>{0, 1});
  EXPECT_EQ(window.Value(), 0.5);
  window.Add(std::vector<float>{0, 1}, std::vector<float>{0, 1});
  EXPECT_EQ(window.Value(), 1.0);
}

}  // namespace
}  // namespace capstan
