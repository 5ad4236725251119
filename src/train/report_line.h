// The lines that a training run says of itself, in the words of the 2018 scripts.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "model/metrics.h"
#include "model/model_spec.h"

namespace capstan {

// "0:00:34.437041", as Python prints a time span.
std::string TimeSpanText(std::chrono::microseconds span);

// What a report tells; NaN stands for "not known" and prints as nan, as the scripts did.
struct Report {
  std::chrono::microseconds since_last{0};
  int64_t step = 0;
  double loss = 0;  // of the last batch
  double train_accuracy = 0, train_auc = 0;
  bool validated = false;
  EvaluationResult validation;
  double examples_per_s = 0;
};

// "[0:00:34.437041] Step: 100, loss: …, train_acc: …, train_auc: …, valid_acc: …, valid_auc: …,
// 152000 examples/s"; regression: "[…] Step: 100, loss: …[, valid_rmse: …, valid_r2: …], …
// examples/s".
std::string ReportLine(const ModelSpec& spec, const Report& report);

// "examples: 151, loss: …, accuracy: …, auc: …, …" of a full pass.
std::string EvaluationLine(const ModelSpec& spec, const EvaluationResult& result);

}  // namespace capstan
