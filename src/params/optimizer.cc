#include "params/optimizer.h"

#include <array>

#include "base/nearest.h"
#include "params/optimizer_kernels.h"

namespace capstan {
namespace {

struct KindName {
  OptimizerKind kind;
  std::string_view name;
};
constexpr std::array<KindName, 9> kNames = {{
    {OptimizerKind::kSgd, "sgd"},
    {OptimizerKind::kMomentum, "momentum"},
    {OptimizerKind::kAdagrad, "adagrad"},
    {OptimizerKind::kAdadelta, "adadelta"},
    {OptimizerKind::kAdam, "adam"},
    {OptimizerKind::kFtrl, "ftrl"},
    {OptimizerKind::kRmsProp, "rmsprop"},
    {OptimizerKind::kRowWiseAdagrad, "rowwise_adagrad"},
    {OptimizerKind::kMovingAverage, "moving_average"},  // of models, not of users
}};

}  // namespace

StatusOr<OptimizerKind> ParseOptimizer(std::string_view name) {
  std::vector<std::string> known;
  for (const KindName& entry : kNames) {
    if (entry.kind == OptimizerKind::kMovingAverage) continue;
    if (entry.name == name) return entry.kind;
    known.emplace_back(entry.name);
  }
  return Error("unknown optimizer '{}'{}; known are {}", name, NearestHint(name, known),
               fmt::join(known, " "));
}

std::string_view NameOf(OptimizerKind kind) {
  for (const KindName& entry : kNames) {
    if (entry.kind == kind) return entry.name;
  }
  return "unknown";
}

std::vector<std::string> SlotNames(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
    case OptimizerKind::kMovingAverage:
      return {};
    case OptimizerKind::kMomentum:
      return {"Momentum"};
    case OptimizerKind::kAdagrad:
      return {"Adagrad"};
    case OptimizerKind::kRowWiseAdagrad:
      return {"RowWiseAdagrad"};
    case OptimizerKind::kAdadelta:
      return {"Adadelta", "Adadelta_1"};  // of g², of update²
    case OptimizerKind::kAdam:
      return {"Adam", "Adam_1"};  // m, v
    case OptimizerKind::kFtrl:
      return {"Ftrl", "Ftrl_1"};  // accumulator, linear
    case OptimizerKind::kRmsProp:
      return {"RMSProp", "RMSProp_1"};  // mean square, momentum
  }
  return {};
}

int SlotCount(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
    case OptimizerKind::kMovingAverage:
      return 0;
    case OptimizerKind::kMomentum:
    case OptimizerKind::kAdagrad:
    case OptimizerKind::kRowWiseAdagrad:
      return 1;
    case OptimizerKind::kAdadelta:
    case OptimizerKind::kAdam:
    case OptimizerKind::kFtrl:
    case OptimizerKind::kRmsProp:
      return 2;
  }
  return 0;
}

bool IsRowWise(OptimizerKind kind) { return kind == OptimizerKind::kRowWiseAdagrad; }

float InitialSlotValue(const OptimizerSpec& spec, int slot) {
  switch (spec.kind) {
    case OptimizerKind::kAdagrad:
    case OptimizerKind::kRowWiseAdagrad:
      return spec.initial_accumulator;
    case OptimizerKind::kFtrl:
      return slot == 0 ? spec.initial_accumulator : 0.0f;
    case OptimizerKind::kRmsProp:
      return slot == 0 ? 1.0f : 0.0f;
    default:
      return 0.0f;
  }
}

void ApplyUpdate(const OptimizerSpec& spec, const UpdateScalars& scalars, int count, float* weights,
                 float* const* slots, const float* gradients) {
  const int slot_count = SlotCount(spec.kind);
  UpdateSpan(MakeUpdateConstants(spec, scalars), count, weights,
             slot_count > 0 ? slots[0] : nullptr, slot_count > 1 ? slots[1] : nullptr, gradients);
}

}  // namespace capstan
