// Losses, their gradients, and predictions from logits.
#pragma once

#include "model/model.h"

namespace capstan {

// Loss of the examples begin … end-1 and dlogits [examples, OutputCount], both times example weight
// and class weight:
//   sigmoid      log(1 + e^x) − x y              gradient σ(x) − y
//   softmax      log Σ e^x − x_y                 gradient softmax(x) − onehot(y)
//   mean square  (x − y)²                        gradient 2 (x − y)
SliceResult LossAndGradient(const ModelSpec& spec, const Batch& batch, int begin, int end,
                            const float* logits, float* dlogits);

// The loss of one example with its class weight in `weight`, without its example weight.
double LossOf(const ModelSpec& spec, const float* logits, float label, double* weight);

}  // namespace capstan
