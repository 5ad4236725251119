// The models of the deep_recommend_system scripts (2016–2018), made from their flags.
#pragma once

#include <string>

#include "base/status.h"
#include "data/feature_spec.h"
#include "model/model_spec.h"

namespace capstan {

// Values as the flags have them; names as in the scripts of 2018.
struct ScriptModelOptions {
  std::string model = "dnn";  // lr (wide), dnn (deep), wide_and_deep, customized, fm, deepfm, dlrm
  std::string dnn_struct = "128 32 8";  // hidden widths, by blanks
  // "": softmax (fm and deepfm, which have one output: sigmoid), or mean_square where scenario is
  // regression
  std::string loss;
  std::string scenario = "classification";
  int64_t feature_size = 0;  // 0: what the data shows (dense), 124 (sparse, as a8a)
  int label_size = 2;
  bool enable_bn = false;
  float bn_epsilon = 0.001f;
  bool enable_dropout = false;
  float dropout_keep_prob = 0.5f;
  bool enable_lr_decay = false;
  float lr_decay_rate = 0.96f;
  std::string optimizer = "adagrad";
  // 2018 had 0.01 with its N(0, 1) weights; Glorot's smaller ones want a little more.
  float learning_rate = 0.02f;
  std::string wide_optimizer;       // "": as optimizer
  float wide_learning_rate = 0.0f;  // 0: as learning_rate
  float l1 = 0.0f, l2 = 0.0f;
  std::string class_weights;  // by commas
  std::string init = "glorot";
  uint64_t seed = 0;
};

// True for ids and values, false for one vector of floats.
bool IsSparse(const InputSpec& detected);

// `detected` is what DetectInputSpec found in the training files.
StatusOr<ModelSpec> MakeScriptModel(const ScriptModelOptions& options, const InputSpec& detected);

}  // namespace capstan
