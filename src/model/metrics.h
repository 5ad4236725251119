// Metrics of predictions, exact.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace capstan {

// Area under the ROC curve by sorting: ties count half. NaN when a class is missing. `weights` may
// be empty.
double Auc(std::span<const float> scores, std::span<const float> labels,
           std::span<const float> weights);
// Area under precision–recall: sum over thresholds of (recall step) × precision (average
// precision).
double AucPr(std::span<const float> scores, std::span<const float> labels,
             std::span<const float> weights);
// AUC within each group, averaged by the groups' weights; groups with one class only are left out.
double GroupAuc(std::span<const float> scores, std::span<const float> labels,
                std::span<const float> weights, std::span<const uint64_t> groups);

// What a full pass over labelled examples gives; NaN where it does not apply.
struct EvaluationResult {
  int64_t examples = 0;
  double loss = 0;      // mean of the training loss
  double accuracy = 0;  // classification
  double auc = 0;       // binary; macro one-vs-rest mean for more classes
  double auc_pr = 0;
  double gauc = 0;
  double log_loss = 0;      // binary and multi-class cross-entropy
  double calibration = 0;   // mean prediction / mean label
  double rmse = 0, r2 = 0;  // regression
};

}  // namespace capstan
