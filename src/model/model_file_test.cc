#include "model/model_file.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

constexpr char kClicks[] = R"(
model: wide_and_deep
label: label
features:
  - {name: "I{1..13}", type: float, log1p: true}
  - {name: "C{1..26}", type: id}
  - {name: C1xC2, type: cross, of: [C1, C2], deep: false, admission_count: 2}
embedding: {dim: 16}
optimizer: {name: adagrad, learning_rate: 0.05}
deep: {hidden: [256, 128, 64]}
wide: {optimizer: ftrl}
)";

std::string ErrorOf(const std::string& text) {
  return Message(ParseModelFile(text, "m.yaml").status());
}

TEST(ModelFile, ExpandsRangesAndMakesTables) {
  const ModelSpec spec = ParseModelFile(kClicks, "m.yaml").value();
  EXPECT_EQ(spec.input.features.size(), 40u);
  EXPECT_EQ(DenseWidth(spec.input), 13);
  EXPECT_EQ(spec.embeddings.size(), 27u);
  EXPECT_EQ(spec.input.features[13].table, "C1");
  EXPECT_EQ(spec.embeddings.back().admission_count, 2u);
  EXPECT_EQ(spec.wide_optimizer.kind, OptimizerKind::kFtrl);
  EXPECT_EQ(spec.wide_optimizer.learning_rate, 0.05f);
  EXPECT_EQ(spec.deep_optimizer.kind, OptimizerKind::kAdagrad);
}

TEST(ModelFile, SpelledOutItParsesToTheSame) {
  const std::string once = ToModelFile(ParseModelFile(kClicks, "m.yaml").value());
  EXPECT_EQ(ToModelFile(ParseModelFile(once, "again.yaml").value()), once);
}

TEST(ModelFile, ErrorsNameThePlace) {
  EXPECT_EQ(ErrorOf("modle: lr\n"), "m.yaml:1:1: unknown key 'modle', nearest is 'model'");
  EXPECT_NE(ErrorOf("model: wide_and_deeep\nfeatures: []\n").find("nearest is 'wide_and_deep'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("model: lstm\nfeatures: []\n").find("images and sequences"), std::string::npos);
  EXPECT_NE(ErrorOf("model: lr\nfeatures:\n  - {name: a, type: identity}\n").find("m.yaml:3:"),
            std::string::npos);
  EXPECT_NE(ErrorOf("model: lr\noptimizer: adagard\nfeatures: [{name: a}]\n").find("nearest is 'adagrad'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("model: lr\nfeatures: [{name: a}, {name: a}]\n").find("'a' is given twice"),
            std::string::npos);
  EXPECT_NE(ErrorOf("model: lr\nfeatures: [{name: x, type: cross, of: [a, b]}]\n").find("unknown feature 'a'"),
            std::string::npos);
  EXPECT_NE(ErrorOf("features: [{name: a}]\nloss: sigmoid\nclasses: 3\n").find("use softmax"),
            std::string::npos);
}

TEST(Schedule, Factors) {
  LearningRateSchedule schedule;
  EXPECT_EQ(FactorAt(schedule, 1000), 1.0f);
  schedule.kind = LearningRateSchedule::Kind::kExponential;
  schedule.decay_steps = 10;
  schedule.decay_rate = 0.5f;
  EXPECT_EQ(FactorAt(schedule, 9), 1.0f);
  EXPECT_EQ(FactorAt(schedule, 25), 0.25f);
  schedule.kind = LearningRateSchedule::Kind::kPolynomial;
  EXPECT_FLOAT_EQ(FactorAt(schedule, 5), 0.5f);
  EXPECT_EQ(FactorAt(schedule, 100), 0.0f);
  schedule.kind = LearningRateSchedule::Kind::kConstant;
  schedule.warmup_steps = 4;
  EXPECT_EQ(FactorAt(schedule, 0), 0.25f);
  EXPECT_EQ(FactorAt(schedule, 3), 1.0f);
}

}  // namespace
}  // namespace capstan
