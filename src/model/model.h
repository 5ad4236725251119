// A model as a function: rows, dense weights and a slice of a batch in; loss and gradients out. No
// I/O, no locks, no state: everything that changes lies in Parameters or in a workspace.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "data/batch.h"
#include "model/model_spec.h"
#include "params/parameters.h"

namespace capstan {

// The rows of one batch, as its features refer to them.
struct BatchRows {
  // [table]: rows of the table's distinct keys; null stands for zeros
  std::vector<const float* const*> rows;
  // [categorical feature][value]: index into the rows of its table
  std::vector<const uint32_t*> index;
};

// Examples begin … end-1 of a batch. One thread computes one slice.
struct SliceInput {
  const Batch* batch = nullptr;
  const BatchRows* rows = nullptr;
  const float* dense = nullptr;  // [dense size] weights
  int begin = 0, end = 0;
  int64_t step = 0;  // dropout is a function of (seed, step, example)
  // Another number whenever the weights at `dense` are others; 0: not known. Saves the conversion
  // of weights to bfloat16 for each slice.
  int64_t dense_version = 0;
};

struct SliceResult {
  double loss_sum = 0;    // weighted, unnormalised, without regularisation
  double weight_sum = 0;  // of the example (and class) weights
};

// Per-thread memory of one slice's computation, made once.
class Workspace {
 public:
  virtual ~Workspace() = default;
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelSpec& spec() const = 0;
  virtual const std::vector<TableSpec>& tables() const = 0;
  virtual const std::vector<DenseSpec>& dense_variables() const = 0;
  virtual int64_t dense_size() const = 0;
  // [categorical feature]: its table
  virtual int table_of(int column) const = 0;

  // `row_formats` by table. Shapes up to `max_slice` examples; makes all primitives now.
  virtual StatusOr<std::unique_ptr<Workspace>> NewWorkspace(
      std::span<const PulledRowFormat> row_formats, int max_slice) const = 0;

  // Logits [end - begin, OutputCount], as in inference (moving averages, no dropout).
  virtual void Forward(const SliceInput& input, Workspace* workspace, float* logits) const = 0;

  // Forward and backward as in training. Gradients are unnormalised sums over the slice:
  //   dense_gradient  [dense size], overwritten
  //   dlogits         [end - begin, OutputCount], written: also the gradient of every wide weight
  //   pooled          [feature]: [end - begin, dim] at pooled[feature] with stride `pooled_stride`:
  //                   gradient of the pooled embedding; memory is the caller's (one buffer per
  //                   slice, PooledWidth() floats per example), laid out feature by feature
  // The gradient of a moving average is the slice's statistic times its weight_sum, so that
  // Gradients::scale = 1 / (sum of weights) makes a mean of it.
  //   logits          [end - begin, OutputCount], written
  virtual SliceResult Step(const SliceInput& input, Workspace* workspace, float* dense_gradient,
                           float* dlogits, float* pooled, float* logits) const = 0;

  // Floats per example of `pooled`, and where a categorical feature's part begins (-1: it has
  // none).
  virtual int pooled_width() const = 0;
  virtual int pooled_offset(int column) const = 0;
};

StatusOr<std::unique_ptr<Model>> NewModel(const ModelSpec& spec);

// Probabilities from logits: [count] of class 1 (sigmoid, softmax with two classes), or
// [count, classes], or the value itself (mean square).
void ToPredictions(const ModelSpec& spec, std::span<const float> logits, std::vector<float>* out);

}  // namespace capstan
