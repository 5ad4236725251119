// The loops behind ApplyUpdate, in the widest instructions of the processor that runs them. Every
// operation is elementwise and rounds once (no fused multiply-add), so the bits are the same for
// any vector width; the row-wise rule sums in 16 fixed partial sums.
#pragma once

#include <cstdint>

#include "params/optimizer.h"

namespace capstan {

// An optimizer at one step: the constants of its formulas, computed once for all weights.
struct UpdateConstants {
  OptimizerKind kind = OptimizerKind::kSgd;
  bool nesterov = false;
  bool regularized = false;  // l1 or l2 joins the gradient
  bool inverse_sqrt = true;  // ftrl: learning_rate_power is -0.5
  float gradient_scale = 1.0f;
  float learning_rate = 0.0f;  // adam: with the corrections of both beta powers
  float l1 = 0.0f, l2 = 0.0f;
  float epsilon = 0.0f;
  float keep = 0.0f;      // momentum, rho, decay, beta1: the part of the old value that stays
  float join = 0.0f;      // 1 - keep, computed in float as TensorFlow does
  float join2 = 0.0f;     // adam: 1 - beta2
  float momentum = 0.0f;  // rmsprop
  float power = 0.5f;     // ftrl: -learning_rate_power
};

UpdateConstants MakeUpdateConstants(const OptimizerSpec& spec, const UpdateScalars& scalars);

// `count` weights that lie together; slot0, slot1 as the rule has them (else unused).
void UpdateSpan(const UpdateConstants& constants, int64_t count, float* weights, float* slot0,
                float* slot1, const float* gradients);

// One part of several rows: row[i] is updated by gradients[i * gradient_stride …]. Rows may be
// null (skipped). Offsets are in floats from the row's start.
struct RowsUpdate {
  int64_t rows = 0;
  char* const* row = nullptr;
  int dim = 0;
  int weights_offset = 0;
  int slot_offset[2] = {0, 0};
  const float* gradients = nullptr;
  int64_t gradient_stride = 0;
  // While row[i] is updated, `prefetch_bytes` of row[i + prefetch_ahead] are fetched, up to
  // row[prefetch_rows - 1]; 0 bytes: none.
  int prefetch_bytes = 0;
  int64_t prefetch_ahead = 0;
  int64_t prefetch_rows = 0;
};
void UpdateRows(const UpdateConstants& constants, const RowsUpdate& update);

}  // namespace capstan
