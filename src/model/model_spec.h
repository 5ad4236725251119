// A trainable model as data: what a model file or the flags say.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/feature_spec.h"
#include "params/optimizer.h"
#include "params/table_spec.h"

namespace capstan {

enum class ModelKind { kLr, kDnn, kWideAndDeep, kFm, kDeepFm, kDlrm };
enum class Loss { kSigmoid, kSoftmax, kMeanSquare };
enum class Precision { kFp32, kBf16 };

// A stack of fully connected layers with ReLU.
struct MlpSpec {
  std::vector<int> hidden;  // widths
  bool batch_norm = false;  // after each product, before ReLU; also on the output (as in 2018) if
  bool batch_norm_output = false;
  float bn_epsilon = 0.001f;
  float bn_decay = 0.99f;          // of the moving averages
  float dropout = 0.0f;            // probability of dropping …
  bool dropout_last_only = false;  // … after the last hidden layer only, else after each
};

// Factor on the learning rate at step t (from 0).
struct LearningRateSchedule {
  enum class Kind { kConstant, kExponential, kPolynomial, kCosine };
  Kind kind = Kind::kConstant;
  int64_t decay_steps = 100000;
  float decay_rate = 0.96f;  // exponential
  bool staircase = true;     // exponential
  float power = 1.0f;        // polynomial
  float end_factor = 0.0f;   // polynomial, cosine
  int64_t warmup_steps = 0;  // linear from 0, before everything else
};
float FactorAt(const LearningRateSchedule& schedule, int64_t step);

// One embedding table as the model file gives it.
struct EmbeddingSpec {
  std::string name;
  int dim = 16;
  int64_t dense_size = 0;
  uint32_t admission_count = 0;
  int64_t expiry_steps = 0;
};

// How variables are called in checkpoints (docs/formats/checkpoint.md lists them).
enum class Naming {
  kModelFile,   // "deep/layer_0/weights", "wide/biases", "tables/user/embedding"
  kDense2018,   // "input_layer/weights", "layer_0/weights", "output_layer/weights", "lr/weights"
  kSparse2018,  // "input/weights", "layer0/weights", "output/weights",
                // "logistic_regression/weights"
};

struct ModelSpec {
  ModelKind kind = ModelKind::kWideAndDeep;
  InputSpec input;
  std::vector<EmbeddingSpec> embeddings;
  MlpSpec deep;    // dlrm: the top
  MlpSpec bottom;  // dlrm
  // The rows are the deep part's first layer: relu(pooled sum + biases) instead of a concatenation
  // (2018, sparse). Wants one categorical feature with a deep part and nothing dense.
  bool pooled_first_layer = false;
  Loss loss = Loss::kSigmoid;
  int classes = 2;
  std::vector<float> class_weights;  // [classes], or empty: all 1
  OptimizerSpec wide_optimizer, deep_optimizer;
  LearningRateSchedule schedule;
  // "glorot" (uniform; biases 0), or "normal1": N(0, 1), weights and biases alike, as in 2018
  std::string init = "glorot";
  float embedding_init_stddev = 0.0f;  // 0: uniform in ±1/sqrt(dim)
  Naming naming = Naming::kModelFile;
  uint64_t seed = 0;
  Precision precision = Precision::kFp32;
};

// Width of the output: softmax `classes`, others 1.
int OutputCount(const ModelSpec& spec);
bool HasWide(ModelKind kind);
bool HasDeep(ModelKind kind);

// "lr" (also "wide", "linear"), "dnn" ("deep"), …; cnn, lstm, … are refused by name.
StatusOr<ModelKind> ParseModelKind(std::string_view name);
std::string_view NameOf(ModelKind kind);

// Everything that must hold beyond syntax: crosses name features, dims of an fm agree, ….
Status CheckModelSpec(const ModelSpec& spec);

}  // namespace capstan
