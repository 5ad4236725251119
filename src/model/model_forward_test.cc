// The forward pass against plain formulas, and the names of variables.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "model/model_variation.h"
#include "model/random_batch.h"

namespace capstan {
namespace {

constexpr int kMaxSlice = 24;
constexpr int kKeys = 9;

// A plain forward pass of what the variables say, without norm and dropout.
class PlainForward {
 public:
  PlainForward(const Model& model, const RandomBatch& data) : model_(model), data_(data) {}

  std::vector<double> Pooled(int column, int example, int part) const {
    const int table = model_.table_of(column);
    const int dim = model_.tables()[table].parts[part].dim;
    std::vector<double> sum(dim);
    const float* row = data_.row_pointers[table][data_.index[column][example]];
    for (int k = 0; k < dim && row != nullptr; ++k) {
      sum[k] = row[data_.formats[table].part_offset[part] + k];
    }
    return sum;
  }
  const float* Variable(const std::string& name) const {
    for (const DenseSpec& variable : model_.dense_variables()) {
      if (variable.variable == name) return data_.dense.data() + variable.offset;
    }
    ADD_FAILURE() << "no variable " << name;
    return nullptr;
  }
  std::vector<double> Linear(const std::string& scope, const std::vector<double>& x,
                             int outputs) const {
    const float* weights = Variable(scope + "/weights");
    const float* biases = Variable(scope + "/biases");
    std::vector<double> y(biases, biases + outputs);
    for (size_t i = 0; i < x.size(); ++i) {
      for (int j = 0; j < outputs; ++j) y[j] += x[i] * weights[i * outputs + j];
    }
    return y;
  }
  std::vector<double> Hidden(const std::string& scope, const std::vector<double>& x,
                             int outputs) const {
    std::vector<double> y = Linear(scope, x, outputs);
    for (double& value : y) value = std::max(value, 0.0);
    return y;
  }
  std::vector<double> Floats(int example) const {
    const float* x = data_.batch.dense.data() + example * 3;
    return {x[0], x[1], x[2]};
  }

 private:
  const Model& model_;
  const RandomBatch& data_;
};

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// Columns a, b, c with embeddings (part 1 behind wide; part 0 without).
void ExpectForward(ModelKind kind,
                   const std::function<double(const PlainForward&, int example)>& logit) {
  auto model = NewModel(SpecOf({.kind = kind}));
  ASSERT_TRUE(model.ok());
  const RandomBatch data(**model, 19, kKeys, 7);
  auto workspace = (*model)->NewWorkspace(data.formats, kMaxSlice);
  std::vector<float> logits(19);
  (*model)->Forward(data.Input(0, 19), workspace->get(), logits.data());
  for (int i = 0; i < 19; ++i) {
    EXPECT_NEAR(logits[i], logit(PlainForward(**model, data), i), 1e-4);
  }
}

double WideLogit(const PlainForward& plain, int i) {
  double logit = plain.Linear("wide", plain.Floats(i), 1)[0];
  for (int c = 0; c < 4; ++c) logit += plain.Pooled(c, i, 0)[0];
  return logit;
}

std::vector<double> DeepInput(const PlainForward& plain, int i, int part) {
  std::vector<double> x = plain.Floats(i);
  for (int c = 0; c < 3; ++c) {
    const std::vector<double> embedding = plain.Pooled(c, i, part);
    x.insert(x.end(), embedding.begin(), embedding.end());
  }
  return x;
}

double DeepLogit(const PlainForward& plain, const std::vector<double>& x) {
  const std::vector<double> first = plain.Hidden("deep/layer_0", x, 7);
  return plain.Linear("deep/output", plain.Hidden("deep/layer_1", first, 5), 1)[0];
}

double FmLogit(const PlainForward& plain, int i) {
  std::vector<std::vector<double>> vectors;
  for (int c = 0; c < 3; ++c) vectors.push_back(plain.Pooled(c, i, 1));
  const float* factors = plain.Variable("fm/factors");
  for (int f = 0; f < 3; ++f) {
    std::vector<double>& vector = vectors.emplace_back();
    for (int k = 0; k < 4; ++k) vector.push_back(plain.Floats(i)[f] * factors[f * 4 + k]);
  }
  double logit = 0;
  for (size_t a = 1; a < vectors.size(); ++a) {
    for (size_t b = 0; b < a; ++b) logit += Dot(vectors[a], vectors[b]);
  }
  return logit;
}

TEST(ForwardTest, EqualsThePlainFormulas) {
  ExpectForward(ModelKind::kLr, WideLogit);
  ExpectForward(ModelKind::kDnn, [](const PlainForward& plain, int i) {
    return DeepLogit(plain, DeepInput(plain, i, 0));
  });
  ExpectForward(ModelKind::kWideAndDeep, [](const PlainForward& plain, int i) {
    return WideLogit(plain, i) + DeepLogit(plain, DeepInput(plain, i, 1));
  });
  ExpectForward(ModelKind::kFm, [](const PlainForward& plain, int i) {
    return WideLogit(plain, i) + FmLogit(plain, i);
  });
  ExpectForward(ModelKind::kDeepFm, [](const PlainForward& plain, int i) {
    return WideLogit(plain, i) + DeepLogit(plain, DeepInput(plain, i, 1)) + FmLogit(plain, i);
  });
  ExpectForward(ModelKind::kDlrm, [](const PlainForward& plain, int i) {
    std::vector<std::vector<double>> vectors;
    vectors.push_back(
        plain.Hidden("bottom/layer_1", plain.Hidden("bottom/layer_0", plain.Floats(i), 6), 4));
    for (int c = 0; c < 3; ++c) vectors.push_back(plain.Pooled(c, i, 0));
    std::vector<double> x = vectors[0];
    for (size_t a = 1; a < vectors.size(); ++a) {
      for (size_t b = 0; b < a; ++b) x.push_back(Dot(vectors[a], vectors[b]));
    }
    return DeepLogit(plain, x);
  });
}

std::vector<std::string> Names(const Model& model) {
  std::vector<std::string> names;
  for (const DenseSpec& variable : model.dense_variables()) {
    names.push_back(variable.variable + ToString(variable.shape));
  }
  for (const TableSpec& table : model.tables()) {
    for (const RowPart& part : table.parts) {
      names.push_back(part.variable + "(" + std::to_string(part.dim) + ")");
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(NamesTest, OfModelFiles) {
  auto model = NewModel(SpecOf({.batch_norm = true}));
  ASSERT_TRUE(model.ok());
  EXPECT_EQ(Names(**model), (std::vector<std::string>{"deep/layer_0/biases[7]",
                                                      "deep/layer_0/moving_mean[7]",
                                                      "deep/layer_0/moving_variance[7]",
                                                      "deep/layer_0/scale[7]",
                                                      "deep/layer_0/shift[7]",
                                                      "deep/layer_0/weights[15,7]",
                                                      "deep/layer_1/biases[5]",
                                                      "deep/layer_1/moving_mean[5]",
                                                      "deep/layer_1/moving_variance[5]",
                                                      "deep/layer_1/scale[5]",
                                                      "deep/layer_1/shift[5]",
                                                      "deep/layer_1/weights[7,5]",
                                                      "deep/output/biases[1]",
                                                      "deep/output/weights[5,1]",
                                                      "tables/t/embedding(4)",
                                                      "tables/t/wide(1)",
                                                      "tables/u/embedding(4)",
                                                      "tables/u/wide(1)",
                                                      "wide/biases[1]",
                                                      "wide/weights[3,1]"}));
}

TEST(NamesTest, Of2018) {
  ModelSpec spec = SpecOf({.loss = Loss::kSoftmax});
  spec.naming = Naming::kDense2018;
  spec.input.features.resize(1);
  spec.deep.hidden = {8, 4, 2};
  auto dense = NewModel(spec);
  ASSERT_TRUE(dense.ok());
  EXPECT_EQ(Names(**dense),
            (std::vector<std::string>{
                "input_layer/biases[8]", "input_layer/weights[3,8]", "layer_0/biases[4]",
                "layer_0/weights[8,4]", "layer_1/biases[2]", "layer_1/weights[4,2]", "lr/biases[2]",
                "lr/weights[3,2]", "output_layer/biases[2]", "output_layer/weights[2,2]"}));

  spec = SpecOf({.loss = Loss::kSoftmax, .lists = true, .pooled_layer = true});
  spec.naming = Naming::kSparse2018;
  auto sparse = NewModel(spec);
  ASSERT_TRUE(sparse.ok());
  EXPECT_EQ(Names(**sparse),
            (std::vector<std::string>{
                "input/biases[4]", "input/weights(4)", "layer0/biases[7]", "layer0/weights[4,7]",
                "layer1/biases[5]", "layer1/weights[7,5]", "logistic_regression/biases[2]",
                "logistic_regression/weights(2)", "output/biases[2]", "output/weights[5,2]"}));
}

}  // namespace
}  // namespace capstan
