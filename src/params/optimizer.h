// Update rules, with the formulas and defaults of tf.compat.v1.train, on spans of weights. Rows of
// tables and dense blocks use the same code. Adam, momentum, Adadelta and RMSProp are lazy on rows:
// a row that no example touched keeps its slots.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

enum class OptimizerKind {
  kSgd,
  kMomentum,
  kAdagrad,
  kAdadelta,
  kAdam,
  kFtrl,
  kRmsProp,
  kRowWiseAdagrad,  // one accumulator per row: mean of g² over the row
  kMovingAverage,   // w += (1 - decay) (g - w): batch-norm statistics travel as gradients
};

struct OptimizerSpec {
  OptimizerKind kind = OptimizerKind::kAdagrad;
  float learning_rate = 0.01f;
  float initial_accumulator = 0.1f;  // adagrad, row-wise adagrad, ftrl
  float momentum = 0.9f;             // momentum; rmsprop uses rmsprop_momentum
  bool nesterov = false;             // momentum
  float rmsprop_momentum = 0.0f;
  float decay = 0.9f;                  // rmsprop; moving average (set to its own)
  float rho = 0.95f;                   // adadelta
  float beta1 = 0.9f, beta2 = 0.999f;  // adam
  // 0: the rule's default (adam, adadelta 1e-8; rmsprop 1e-10)
  float epsilon = 0.0f;
  float learning_rate_power = -0.5f;  // ftrl
  // ftrl: TF's l1/l2_regularization_strength; others: sign(w)·l1 + w·l2 joins the gradient
  float l1 = 0.0f, l2 = 0.0f;
};

// "sgd momentum adagrad adadelta adam ftrl rmsprop rowwise_adagrad"; an unknown name is an error
// with the nearest known one.
StatusOr<OptimizerKind> ParseOptimizer(std::string_view name);
std::string_view NameOf(OptimizerKind kind);

// The slots' names as TensorFlow's checkpoints have them, behind "VARIABLE/": {"Adagrad"}, {"Ftrl",
// "Ftrl_1"}, {"Adam", "Adam_1"}, … A row-wise slot has one float per row, others one per weight.
std::vector<std::string> SlotNames(OptimizerKind kind);
int SlotCount(OptimizerKind kind);
bool IsRowWise(OptimizerKind kind);
float InitialSlotValue(const OptimizerSpec& spec, int slot);

// What changes from step to step.
struct UpdateScalars {
  float learning_rate = 0.01f;  // after the schedule
  // adam: beta1^t, beta2^t of this step, t from 1
  float beta1_power = 0.9f, beta2_power = 0.999f;
  float gradient_scale =
      1.0f;  // gradients are unnormalised sums: 1 / (examples, or sum of weights)
};

// One update of `count` weights that lie together. slots[i] points to `count` floats (row-wise: to
// one). No aliasing. The same bits for any split of the weights into calls (not for row-wise).
void ApplyUpdate(const OptimizerSpec& spec, const UpdateScalars& scalars, int count, float* weights,
                 float* const* slots, const float* gradients);

}  // namespace capstan
