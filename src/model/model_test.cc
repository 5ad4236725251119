#include "model/model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/worker_pool.h"
#include "model/model_variation.h"
#include "model/random_batch.h"

namespace capstan {
namespace {

constexpr int kMaxSlice = 24;
constexpr int kKeys = 9;

struct StepOutput {
  SliceResult result;
  std::vector<float> dense_gradient, dlogits, pooled, logits;
};

StepOutput RunStep(const Model& model, const SliceInput& input, Workspace* workspace) {
  const size_t examples = input.end - input.begin;
  const size_t outputs = OutputCount(model.spec());
  StepOutput out;
  out.dense_gradient.assign(model.dense_size(), 99.0f);
  out.dlogits.assign(examples * outputs, 99.0f);
  out.logits.assign(examples * outputs, 99.0f);
  out.pooled.assign(examples * model.pooled_width(), 99.0f);
  out.result = model.Step(input, workspace, out.dense_gradient.data(), out.dlogits.data(),
                          out.pooled.data(), out.logits.data());
  return out;
}

class ModelTest : public testing::TestWithParam<Variation> {
 protected:
  void SetUp() override {
    auto model = NewModel(SpecOf(GetParam()));
    ASSERT_TRUE(model.ok()) << Message(model.status());
    model_ = std::move(*model);
    data_ = std::make_unique<RandomBatch>(*model_, 19, kKeys, 7);
    if (GetParam().weights) {
      for (int i = 0; i < 19; ++i) {
        data_->batch.example_weights.push_back(0.25f * static_cast<float>(i % 7));
      }
    }
    auto workspace = model_->NewWorkspace(data_->formats, kMaxSlice);
    ASSERT_TRUE(workspace.ok()) << Message(workspace.status());
    workspace_ = std::move(*workspace);
  }

  double Loss() { return RunStep(*model_, data_->Input(2, 19), workspace_.get()).result.loss_sum; }
  // The gradient is neither the slope around the parameter nor, where the kink of a ReLU lies
  // nearby, that of one side.
  bool Differs(float* parameter, double gradient) {
    const float saved = *parameter, epsilon = 4e-3f;
    const double here = Loss();
    *parameter = saved + epsilon;
    const double up = (Loss() - here) / epsilon;
    *parameter = saved - epsilon;
    const double down = (here - Loss()) / epsilon;
    *parameter = saved;
    const auto near = [&](double slope) {
      return std::abs(slope - gradient) <= 0.02 * (1 + std::abs(gradient));
    };
    return !near((up + down) / 2) && !near(up) && !near(down);
  }

  std::unique_ptr<Model> model_;
  std::unique_ptr<RandomBatch> data_;
  std::unique_ptr<Workspace> workspace_;
};

TEST_P(ModelTest, GradientsByFiniteDifferences) {
  const StepOutput out = RunStep(*model_, data_->Input(2, 19), workspace_.get());
  int checked = 0, wrong = 0;
  for (const DenseSpec& variable : model_->dense_variables()) {
    if (variable.optimizer.kind == OptimizerKind::kMovingAverage) continue;
    int wrong_here = 0;
    const int64_t count = ElementCount(variable.shape);
    for (int64_t i = 0; i < count; ++i) {
      wrong_here +=
          Differs(&data_->dense[variable.offset + i], out.dense_gradient[variable.offset + i]);
    }
    EXPECT_LE(wrong_here, 1 + count / 20) << variable.variable;
    checked += static_cast<int>(count);
    wrong += wrong_here;
  }
  const SliceGradients slice{
      .begin = 2, .end = 19, .dlogits = out.dlogits.data(), .pooled = out.pooled.data()};
  for (size_t t = 0; t < model_->tables().size(); ++t) {
    const std::vector<float> gradients =
        data_->Merge(*model_, static_cast<int>(t), std::span(&slice, 1));
    const int dim = RandomBatch::GradientDim(*model_, static_cast<int>(t));
    for (int key = 0; key + 1 < kKeys; ++key) {
      float* row = data_->memory[t].data() + key * (dim + 2) + 2;
      for (int k = 0; k < dim; ++k) {
        ++checked;
        wrong += Differs(row + k, gradients[key * dim + k]);
      }
    }
  }
  EXPECT_GT(checked, 15);
  EXPECT_LE(wrong, checked / 50) << "of " << checked;
}

TEST_P(ModelTest, GapsAreZeroAndMovingAveragesTravelAsGradients) {
  const StepOutput out = RunStep(*model_, data_->Input(0, 19), workspace_.get());
  std::vector<bool> used(out.dense_gradient.size());
  for (const DenseSpec& variable : model_->dense_variables()) {
    EXPECT_EQ(variable.offset % 16, 0);
    for (int64_t i = 0; i < ElementCount(variable.shape); ++i) used[variable.offset + i] = true;
    if (variable.variable.find("moving_variance") == std::string::npos) continue;
    EXPECT_GE(out.dense_gradient[variable.offset], 0.0f);
  }
  for (size_t i = 0; i < used.size(); ++i) {
    EXPECT_TRUE(std::isfinite(out.dense_gradient[i]));
    if (!used[i]) {
      EXPECT_EQ(out.dense_gradient[i], 0.0f);
    }
  }
  double weights = 0;
  for (int i = 0; i < 19; ++i) {
    double weight = data_->batch.example_weights.empty() ? 1.0 : data_->batch.example_weights[i];
    if (!model_->spec().class_weights.empty()) {
      weight *= model_->spec().class_weights[static_cast<int>(data_->batch.labels[i])];
    }
    weights += weight;
  }
  EXPECT_NEAR(out.result.weight_sum, weights, 1e-6);
}

// One slice of a batch has the same logits as its examples have in another slice, unless statistics
// are per slice.
TEST_P(ModelTest, ForwardDoesNotDependOnTheSlice) {
  const int outputs = OutputCount(model_->spec());
  std::vector<float> all(19 * outputs), some(9 * outputs);
  model_->Forward(data_->Input(0, 19), workspace_.get(), all.data());
  model_->Forward(data_->Input(10, 19), workspace_.get(), some.data());
  for (int i = 0; i < 9 * outputs; ++i) EXPECT_EQ(some[i], all[10 * outputs + i]);
}

TEST_P(ModelTest, ThreadsDoNotChangeBits) {
  const std::vector<int> ends = {0, 5, 10, 14, 19};
  std::map<int, std::vector<StepOutput>> outputs;
  for (const int workers : {1, 3}) {
    WorkerPool pool(workers);
    std::vector<std::unique_ptr<Workspace>> workspaces;
    for (int i = 0; i < workers; ++i) {
      workspaces.push_back(*model_->NewWorkspace(data_->formats, kMaxSlice));
    }
    outputs[workers].resize(4);
    pool.ParallelFor(4, [&](int64_t slice, int worker) {
      outputs[workers][slice] =
          RunStep(*model_, data_->Input(ends[slice], ends[slice + 1]), workspaces[worker].get());
    });
  }
  for (int slice = 0; slice < 4; ++slice) {
    EXPECT_EQ(outputs[1][slice].dense_gradient, outputs[3][slice].dense_gradient);
    EXPECT_EQ(outputs[1][slice].dlogits, outputs[3][slice].dlogits);
    EXPECT_EQ(outputs[1][slice].pooled, outputs[3][slice].pooled);
    EXPECT_EQ(outputs[1][slice].logits, outputs[3][slice].logits);
    EXPECT_EQ(outputs[1][slice].result.loss_sum, outputs[3][slice].result.loss_sum);
  }
}

// Sums of slices that were made elsewhere, added in order, are the same bits.
TEST_P(ModelTest, MergedGradientsAreSumsOfSlices) {
  const std::vector<int> ends = {0, 3, 9, 14, 19};
  std::vector<StepOutput> outputs;
  std::vector<SliceGradients> slices;
  for (int s = 0; s < 4; ++s) {
    outputs.push_back(RunStep(*model_, data_->Input(ends[s], ends[s + 1]), workspace_.get()));
  }
  for (int s = 0; s < 4; ++s) {
    slices.push_back({.begin = ends[s],
                      .end = ends[s + 1],
                      .dlogits = outputs[s].dlogits.data(),
                      .pooled = outputs[s].pooled.data()});
  }
  for (size_t t = 0; t < model_->tables().size(); ++t) {
    const int table = static_cast<int>(t);
    const std::vector<float> merged = data_->Merge(*model_, table, slices);
    std::vector<float> sum(merged.size());
    for (const SliceGradients& slice : slices) {
      const std::vector<float> part = data_->Merge(*model_, table, std::span(&slice, 1));
      for (size_t i = 0; i < sum.size(); ++i) sum[i] += part[i];
    }
    EXPECT_EQ(merged, sum);
  }
}

std::vector<Variation> Variations() {
  using K = ModelKind;
  return {
      {.name = "lr", .kind = K::kLr},
      {.name = "lr_softmax3", .kind = K::kLr, .loss = Loss::kSoftmax, .classes = 3},
      {.name = "lr_lists", .kind = K::kLr, .lists = true, .floats = false},
      {.name = "dnn", .kind = K::kDnn},
      {.name = "dnn_norm", .kind = K::kDnn, .batch_norm = true},
      {.name = "dnn_norm_weights", .kind = K::kDnn, .batch_norm = true, .weights = true},
      {.name = "dnn_dropout", .kind = K::kDnn, .dropout = true},
      {.name = "dnn_all",
       .kind = K::kDnn,
       .loss = Loss::kSoftmax,
       .classes = 3,
       .batch_norm = true,
       .dropout = true,
       .lists = true,
       .weights = true},
      {.name = "dnn_pooled",
       .kind = K::kDnn,
       .loss = Loss::kSoftmax,
       .lists = true,
       .pooled_layer = true},
      {.name = "wide_and_deep"},
      {.name = "wide_and_deep_softmax2", .loss = Loss::kSoftmax, .weights = true},
      {.name = "wide_and_deep_lists", .lists = true},
      {.name = "wide_and_deep_square", .loss = Loss::kMeanSquare, .weights = true},
      {.name = "wide_and_deep_pooled", .loss = Loss::kSoftmax, .lists = true, .pooled_layer = true},
      {.name = "fm", .kind = K::kFm},
      {.name = "fm_lists", .kind = K::kFm, .lists = true, .floats = false},
      {.name = "deepfm", .kind = K::kDeepFm},
      {.name = "deepfm_square", .kind = K::kDeepFm, .loss = Loss::kMeanSquare, .batch_norm = true},
      {.name = "dlrm", .kind = K::kDlrm},
      {.name = "dlrm_softmax3",
       .kind = K::kDlrm,
       .loss = Loss::kSoftmax,
       .classes = 3,
       .lists = true,
       .weights = true},
      {.name = "dlrm_norm_dropout", .kind = K::kDlrm, .batch_norm = true, .dropout = true},
  };
}

INSTANTIATE_TEST_SUITE_P(Kinds, ModelTest, testing::ValuesIn(Variations()),
                         [](const auto& info) { return info.param.name; });

// Bfloat16 computes the same function, roughly.
TEST(Bfloat16ModelTest, IsCloseToFp32) {
  for (Variation variation : Variations()) {
    auto exact = NewModel(SpecOf(variation));
    variation.precision = Precision::kBf16;
    auto half = NewModel(SpecOf(variation));
    ASSERT_TRUE(exact.ok() && half.ok());
    const RandomBatch data(**exact, 19, kKeys, 7);
    auto exact_workspace = (*exact)->NewWorkspace(data.formats, kMaxSlice);
    auto half_workspace = (*half)->NewWorkspace(data.formats, kMaxSlice);
    if (half_workspace.status().code() == absl::StatusCode::kUnimplemented) GTEST_SKIP();
    ASSERT_TRUE(half_workspace.ok()) << Message(half_workspace.status());
    const StepOutput a = RunStep(**exact, data.Input(0, 19), exact_workspace->get());
    const StepOutput b = RunStep(**half, data.Input(0, 19), half_workspace->get());
    const auto near = [&](const std::vector<float>& x, const std::vector<float>& y,
                          const char* what) {
      double difference = 0, size = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        difference += std::pow(x[i] - y[i], 2);
        size += std::pow(x[i], 2);
      }
      EXPECT_LT(std::sqrt(difference), 0.1 * std::sqrt(size) + 1e-6) << variation.name << what;
    };
    near(a.logits, b.logits, " logits");
    near(a.dlogits, b.dlogits, " dlogits");
    near(a.pooled, b.pooled, " pooled");
    near(a.dense_gradient, b.dense_gradient, " dense");
  }
}

TEST(PredictionsTest, AreProbabilities) {
  ModelSpec spec;
  std::vector<float> out;
  ToPredictions(spec, std::vector<float>{0.0f, 100.0f, -100.0f, 2.0f}, &out);
  EXPECT_EQ(out[0], 0.5f);
  EXPECT_EQ(out[1], 1.0f);
  EXPECT_GE(out[2], 0.0f);
  EXPECT_FLOAT_EQ(out[3], 1 / (1 + std::exp(-2.0f)));
  spec.loss = Loss::kSoftmax;
  ToPredictions(spec, std::vector<float>{0.0f, 2.0f, 30.0f, 0.0f}, &out);
  ASSERT_EQ(out.size(), 2u);
  EXPECT_FLOAT_EQ(out[0], 1 / (1 + std::exp(-2.0f)));
  EXPECT_FLOAT_EQ(out[1], std::exp(-30.0f));
  spec.classes = 3;
  ToPredictions(spec, std::vector<float>{1.0f, 1.0f, 1.0f}, &out);
  EXPECT_EQ(out, std::vector<float>(3, 1.0f / 3));
  spec.loss = Loss::kMeanSquare;
  ToPredictions(spec, std::vector<float>{1.0f, -4.0f}, &out);
  EXPECT_EQ(out, (std::vector<float>{1.0f, -4.0f}));
}

TEST(NewModelTest, RefusesWhatDoesNotFit) {
  ModelSpec spec = SpecOf({.loss = Loss::kSoftmax});
  spec.pooled_first_layer = true;
  EXPECT_FALSE(NewModel(spec).ok());
  spec = SpecOf({.kind = ModelKind::kFm, .loss = Loss::kSoftmax});
  EXPECT_FALSE(NewModel(spec).ok());
}

}  // namespace
}  // namespace capstan
