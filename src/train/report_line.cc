#include "train/report_line.h"

#include <fmt/format.h>

#include <cmath>

namespace capstan {
namespace {
std::string RateText(double examples_per_s) {
  return fmt::format("{:.0f} examples/s", examples_per_s);
}
}  // namespace

std::string TimeSpanText(std::chrono::microseconds span) {
  const int64_t us = span.count();
  const int64_t seconds = us / 1'000'000, fraction = us % 1'000'000;
  const int64_t days = seconds / 86400;
  std::string text;
  if (days > 0) text = fmt::format("{} day{}, ", days, days == 1 ? "" : "s");
  text += fmt::format("{}:{:02}:{:02}", seconds % 86400 / 3600, seconds % 3600 / 60, seconds % 60);
  if (fraction != 0) text += fmt::format(".{:06}", fraction);
  return text;
}

std::string ReportLine(const ModelSpec& spec, const Report& report) {
  std::string text = fmt::format("[{}] Step: {}, loss: {:.6g}", TimeSpanText(report.since_last),
                                 report.step, report.loss);
  if (spec.loss == Loss::kMeanSquare) {
    if (report.validated) {
      text += fmt::format(", valid_rmse: {:.6g}, valid_r2: {:.6g}", report.validation.rmse,
                          report.validation.r2);
    }
  } else {
    text += fmt::format(", train_acc: {:.6g}, train_auc: {:.6g}", report.train_accuracy,
                        report.train_auc);
    if (report.validated) {
      text += fmt::format(", valid_acc: {:.6g}, valid_auc: {:.6g}", report.validation.accuracy,
                          report.validation.auc);
    }
  }
  return text + ", " + RateText(report.examples_per_s);
}

std::string EvaluationLine(const ModelSpec& spec, const EvaluationResult& result) {
  std::string text = fmt::format("examples: {}, loss: {:.6g}", result.examples, result.loss);
  const auto add = [&text](const char* name, double value) {
    if (!std::isnan(value)) text += fmt::format(", {}: {:.6g}", name, value);
  };
  if (spec.loss == Loss::kMeanSquare) {
    add("rmse", result.rmse);
    add("r2", result.r2);
  } else {
    add("accuracy", result.accuracy);
    add("auc", result.auc);
    add("auc_pr", result.auc_pr);
    if (!spec.input.group.empty()) add("gauc", result.gauc);
    add("log_loss", result.log_loss);
  }
  add("calibration", result.calibration);
  return text;
}

}  // namespace capstan
