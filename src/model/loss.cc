#include "model/loss.h"

#include <algorithm>
#include <cmath>

namespace capstan {
namespace {

int ClassOf(const ModelSpec& spec, float label) {
  return std::clamp(static_cast<int>(label + 0.5f), 0, spec.classes - 1);
}

float ClassWeight(const ModelSpec& spec, float label) {
  return spec.class_weights.empty() ? 1.0f : spec.class_weights[ClassOf(spec, label)];
}

float SigmoidLoss(float x, float label, float* gradient) {
  const float e = std::exp(-std::abs(x));
  const float sigmoid = (x >= 0 ? 1.0f : e) / (1.0f + e);
  *gradient = sigmoid - label;
  return std::max(x, 0.0f) - x * label + std::log1p(e);
}

// p = softmax(x). Returns log Σ exp(x − top).
float Softmax(const float* x, int classes, float top, float* p) {
  float sum = 0.0f;
  for (int c = 0; c < classes; ++c) sum += p[c] = std::exp(x[c] - top);
  for (int c = 0; c < classes; ++c) p[c] /= sum;
  return std::log(sum);
}

float SoftmaxLoss(const float* x, int classes, int label, float* gradient) {
  const float top = *std::max_element(x, x + classes);
  const float log_sum = Softmax(x, classes, top, gradient);
  gradient[label] -= 1.0f;
  return log_sum - (x[label] - top);
}

// Unweighted.
float OneLoss(const ModelSpec& spec, const float* logits, float label, float* gradient) {
  switch (spec.loss) {
    case Loss::kSigmoid:
      return SigmoidLoss(*logits, label, gradient);
    case Loss::kSoftmax:
      return SoftmaxLoss(logits, spec.classes, ClassOf(spec, label), gradient);
    case Loss::kMeanSquare:
      *gradient = 2.0f * (*logits - label);
      return (*logits - label) * (*logits - label);
  }
  return 0.0f;
}

}  // namespace

SliceResult LossAndGradient(const ModelSpec& spec, const Batch& batch, int begin, int end,
                            const float* logits, float* dlogits) {
  const int outputs = OutputCount(spec);
  SliceResult result;
  for (int i = begin; i < end; ++i, logits += outputs, dlogits += outputs) {
    const float label = batch.labels[i];
    float weight = ClassWeight(spec, label);
    if (!batch.example_weights.empty()) weight *= batch.example_weights[i];
    result.loss_sum += static_cast<double>(weight) * OneLoss(spec, logits, label, dlogits);
    result.weight_sum += weight;
    if (weight != 1.0f) {
      for (int k = 0; k < outputs; ++k) dlogits[k] *= weight;
    }
  }
  return result;
}

double LossOf(const ModelSpec& spec, const float* logits, float label, double* weight) {
  std::vector<float> gradient(OutputCount(spec));
  *weight = ClassWeight(spec, label);
  return *weight * OneLoss(spec, logits, label, gradient.data());
}

void ToPredictions(const ModelSpec& spec, std::span<const float> logits, std::vector<float>* out) {
  out->clear();
  if (spec.loss == Loss::kMeanSquare) {
    out->assign(logits.begin(), logits.end());
    return;
  }
  if (spec.loss == Loss::kSigmoid) {
    for (const float x : logits) {
      const float e = std::exp(-std::abs(x));
      out->push_back((x >= 0 ? 1.0f : e) / (1.0f + e));
    }
    return;
  }
  const size_t classes = spec.classes;
  std::vector<float> softmax(classes);
  for (size_t at = 0; at + classes <= logits.size(); at += classes) {
    const float* x = logits.data() + at;
    Softmax(x, spec.classes, *std::max_element(x, x + classes), softmax.data());
    if (classes == 2) {
      out->push_back(softmax[1]);
    } else {
      out->insert(out->end(), softmax.begin(), softmax.end());
    }
  }
}

}  // namespace capstan
