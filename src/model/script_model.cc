#include "model/script_model.h"

#include <algorithm>
#include <sstream>

#include "base/nearest.h"

namespace capstan {
namespace {

// Rows that the sparse script gives its tables: a8a has ids 1 … 123.
constexpr int64_t kDefaultSparseFeatureSize = 124;
constexpr int kFactorDim = 16;  // fm and deepfm on ids and values

StatusOr<std::vector<int>> ParseWidths(const std::string& text) {
  std::vector<int> widths;
  std::istringstream stream(text);
  std::string word;
  while (stream >> word) {
    char* end = nullptr;
    const long width = std::strtol(word.c_str(), &end, 10);
    if (*end != '\0' || width < 1 || width > 65536) {
      return Error("flag --dnn_struct: found '{}', wanted widths as in '128 32 8'", text);
    }
    widths.push_back(static_cast<int>(width));
  }
  if (widths.empty()) return Error("flag --dnn_struct is empty, wanted widths as in '128 32 8'");
  return widths;
}

StatusOr<std::vector<float>> ParseWeights(const std::string& text) {
  std::vector<float> weights;
  std::istringstream stream(text);
  std::string word;
  while (std::getline(stream, word, ',')) {
    char* end = nullptr;
    weights.push_back(std::strtof(word.c_str(), &end));
    if (word.empty() || *end != '\0' || !(weights.back() >= 0)) {
      return Error("flag --class_weights: found '{}', wanted numbers as in '1,2.5'", text);
    }
  }
  return weights;
}

Status SetLoss(const ScriptModelOptions& options, ModelSpec* spec) {
  if (options.scenario != "classification" && options.scenario != "regression") {
    return Error("flag --scenario: unknown '{}', wanted classification or regression",
                 options.scenario);
  }
  std::string loss = options.loss;
  if (loss.empty()) {
    const bool one_output = spec->kind == ModelKind::kFm || spec->kind == ModelKind::kDeepFm;
    loss = options.scenario == "regression" ? "mean_square" : one_output ? "sigmoid" : "softmax";
  }
  if (loss == "softmax" || loss == "sparse_cross_entropy" || loss == "cross_entropy") {
    spec->loss = Loss::kSoftmax;
  } else if (loss == "sigmoid") {
    spec->loss = Loss::kSigmoid;
  } else if (loss == "mean_square") {
    spec->loss = Loss::kMeanSquare;
  } else {
    const std::vector<std::string> known = {"softmax", "sparse_cross_entropy", "cross_entropy",
                                            "sigmoid", "mean_square"};
    return Error("flag --loss: unknown '{}'{}", loss, NearestHint(loss, known));
  }
  spec->classes = options.label_size;
  spec->input.classes = spec->loss == Loss::kMeanSquare ? 0 : options.label_size;
  ASSIGN_OR_RETURN(spec->class_weights, ParseWeights(options.class_weights));
  return OkStatus();
}

Status SetOptimizers(const ScriptModelOptions& options, ModelSpec* spec) {
  OptimizerSpec& deep = spec->deep_optimizer;
  ASSIGN_OR_RETURN(deep.kind, ParseOptimizer(options.optimizer));
  deep.learning_rate = options.learning_rate;
  deep.l1 = options.l1;
  deep.l2 = options.l2;
  spec->wide_optimizer = deep;
  if (!options.wide_optimizer.empty()) {
    ASSIGN_OR_RETURN(spec->wide_optimizer.kind, ParseOptimizer(options.wide_optimizer));
  }
  if (options.wide_learning_rate != 0) {
    spec->wide_optimizer.learning_rate = options.wide_learning_rate;
  }
  if (options.enable_lr_decay) {
    spec->schedule.kind = LearningRateSchedule::Kind::kExponential;
    spec->schedule.decay_rate = options.lr_decay_rate;
  }
  return OkStatus();
}

Status SetDeep(const ScriptModelOptions& options, bool customized, ModelSpec* spec) {
  ASSIGN_OR_RETURN(spec->deep.hidden, ParseWidths(customized ? "128 32 8" : options.dnn_struct));
  spec->deep.batch_norm = spec->deep.batch_norm_output = options.enable_bn;
  spec->deep.bn_epsilon = options.bn_epsilon;
  if (!options.enable_dropout) return OkStatus();
  if (!(options.dropout_keep_prob > 0) || options.dropout_keep_prob > 1) {
    return Error("flag --dropout_keep_prob: {} is not in (0, 1]", options.dropout_keep_prob);
  }
  spec->deep.dropout = 1.0f - options.dropout_keep_prob;
  spec->deep.dropout_last_only = true;
  return OkStatus();
}

Status SetSparseInput(const ScriptModelOptions& options, ModelSpec* spec) {
  FeatureSpec& ids = spec->input.features[0];
  ids.size = options.feature_size > 0 ? options.feature_size : kDefaultSparseFeatureSize;
  ids.combiner = Combiner::kSum;
  ids.table = "input";
  EmbeddingSpec table{.name = "input", .dense_size = ids.size};
  // Factorisation machines have ordinary embeddings; the dnn of 2018 has its first layer in the
  // rows.
  const bool factors = spec->kind == ModelKind::kFm || spec->kind == ModelKind::kDeepFm;
  spec->pooled_first_layer = !factors && HasDeep(spec->kind);
  if (spec->pooled_first_layer) {
    table.dim = spec->deep.hidden.front();
    spec->deep.hidden.erase(spec->deep.hidden.begin());
  } else {
    table.dim = kFactorDim;
  }
  spec->naming = factors ? Naming::kModelFile : Naming::kSparse2018;
  spec->embeddings = {table};
  return OkStatus();
}

Status SetDenseInput(const ScriptModelOptions& options, ModelSpec* spec) {
  FeatureSpec& features = spec->input.features[0];
  if (options.feature_size > 0 && options.feature_size != features.length) {
    return Error("flag --feature_size={}: the training files have '{}' of {} numbers",
                 options.feature_size, features.name, features.length);
  }
  spec->naming = Naming::kDense2018;
  return OkStatus();
}

}  // namespace

bool IsSparse(const InputSpec& detected) {
  return !detected.features.empty() && IsCategorical(detected.features[0]);
}

StatusOr<ModelSpec> MakeScriptModel(const ScriptModelOptions& options, const InputSpec& detected) {
  ModelSpec spec;
  const bool customized = options.model == "customized";
  if (customized) {
    spec.kind = ModelKind::kDnn;
  } else {
    ASSIGN_OR_RETURN(spec.kind, ParseModelKind(options.model));
  }
  spec.input = detected;
  if (spec.input.features.size() != 1) {
    return Error("the training files have {} features; describe them in a --model_file",
                 spec.input.features.size());
  }
  spec.init = options.init;
  spec.seed = options.seed;
  RETURN_IF_ERROR(SetLoss(options, &spec));
  RETURN_IF_ERROR(SetOptimizers(options, &spec));
  RETURN_IF_ERROR(SetDeep(options, customized, &spec));
  RETURN_IF_ERROR(IsSparse(detected) ? SetSparseInput(options, &spec)
                                     : SetDenseInput(options, &spec));
  RETURN_IF_ERROR(CheckModelSpec(spec));
  return spec;
}

}  // namespace capstan
