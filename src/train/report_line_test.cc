#include "train/report_line.h"

#include <gtest/gtest.h>

#include <cmath>

namespace capstan {
namespace {

using std::chrono::microseconds;

TEST(ReportLine, TimeSpansAsPythonPrintsThem) {
  EXPECT_EQ(TimeSpanText(microseconds(34'437'041)), "0:00:34.437041");
  EXPECT_EQ(TimeSpanText(microseconds(3'600'000'000)), "1:00:00");
  EXPECT_EQ(TimeSpanText(microseconds(90'061'000'001)), "1 day, 1:01:01.000001");
}

TEST(ReportLine, FieldsInTheScriptsOrder) {
  ModelSpec spec;
  Report report;
  report.since_last = microseconds(34'437'041);
  report.step = 100;
  report.loss = 0.5;
  report.train_accuracy = 0.9;
  report.train_auc = 0.95;
  report.examples_per_s = 152000;
  EXPECT_EQ(ReportLine(spec, report),
            "[0:00:34.437041] Step: 100, loss: 0.5, train_acc: 0.9, train_auc: 0.95, 152000 "
            "examples/s");
  report.validated = true;
  report.validation.accuracy = 0.8;
  report.validation.auc = std::nan("");
  EXPECT_NE(
      ReportLine(spec, report).find("train_auc: 0.95, valid_acc: 0.8, valid_auc: nan, 152000"),
      std::string::npos);
  spec.loss = Loss::kMeanSquare;
  EXPECT_NE(ReportLine(spec, report).find("Step: 100, loss: 0.5, valid_rmse: 0"),
            std::string::npos);
}

TEST(ReportLine, EvaluationLeavesOutWhatDoesNotApply) {
  ModelSpec spec;
  EvaluationResult result;
  result.examples = 151;
  result.auc = std::nan("");
  const std::string line = EvaluationLine(spec, result);
  EXPECT_EQ(line.find("auc: nan"), std::string::npos);
  EXPECT_NE(line.find("examples: 151"), std::string::npos);
  EXPECT_EQ(line.find("gauc"), std::string::npos);
}

}  // namespace
}  // namespace capstan
