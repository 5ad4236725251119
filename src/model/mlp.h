// A stack of fully connected layers: what it is made of (Mlp), and its computation (MlpRun).
//
//   x [rows, inputs] → (· weights + biases → batch norm → ReLU → dropout) for each hidden layer
//                    → · weights + biases (→ batch norm): the output, if there is one
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "model/dense_builder.h"
#include "model/model_spec.h"
#include "tensor/aligned_vector.h"
#include "tensor/bfloat16.h"
#include "tensor/gemm.h"

namespace capstan {

struct MlpLayer {
  int in = 0, out = 0;
  bool batch_norm = false, relu = false, dropout = false;
  // Numbers of its dense variables.
  int weights = -1, biases = -1, scale = -1, shift = -1, moving_mean = -1, moving_variance = -1;
};

// Immutable.
class Mlp {
 public:
  // Hidden layers of `spec` under `scopes`, then, unless outputs is 0, an output layer under
  // `output_scope`. Adds its variables to `builder`. `number` tells the stacks of a model apart.
  Mlp(const MlpSpec& spec, int inputs, const std::vector<std::string>& scopes, int outputs,
      const std::string& output_scope, int number, DenseBuilder* builder);

  const MlpSpec& spec() const { return spec_; }
  const std::vector<MlpLayer>& layers() const { return layers_; }
  int inputs() const { return inputs_; }
  int outputs() const { return layers_.empty() ? inputs_ : layers_.back().out; }
  int number() const { return number_; }

 private:
  const MlpSpec spec_;
  const int inputs_, number_;
  std::vector<MlpLayer> layers_;
};

// Rows of x lie at a stride of `stride` elements: `lead` zeros, then the inputs.
struct MlpInput {
  int lead = 0, stride = 0;
};

// What changes from slice to slice.
struct MlpCall {
  int rows = 0;
  const float* dense = nullptr;  // the model's dense weights
  int64_t dense_version = 0;     // as in SliceInput
  bool training = false;
  // Dropout is a function of these.
  uint64_t seed = 0;
  int64_t step = 0;
  int first_example = 0;
};

// The computation of an Mlp for one thread. Elements of x are floats, or Bfloat16 with
// Precision::kBf16. x always has max_rows rows: those behind call.rows must be finite (zeros).
class MlpRun {
 public:
  // Wants the gradient of inputs first_gradient, first_gradient + 1, …, in rows of
  // `gradient_stride` floats (first_gradient = inputs: of none). The output has rows of
  // `output_stride` floats. `mlp` and `variables` must outlive it.
  static StatusOr<std::unique_ptr<MlpRun>> Make(const Mlp& mlp,
                                                const std::vector<DenseSpec>& variables,
                                                Precision precision, int max_rows, MlpInput input,
                                                int output_stride, int first_gradient,
                                                int gradient_stride);

  ~MlpRun();

  // output [max_rows, output_stride].
  void Forward(const MlpCall& call, const void* x, float* output);
  // After Forward with the same call, x and output. `doutput` [max_rows, output_stride] is
  // destroyed. Writes the gradients of its variables (moving averages: statistic ·
  // `statistics_weight`) into dense_gradient, and dx [max_rows, gradient_stride] if wanted.
  void Backward(const MlpCall& call, const void* x, const float* output, float* doutput,
                float statistics_weight, float* dense_gradient, float* dx);

 private:
  struct Layer;
  MlpRun(const Mlp& mlp, const std::vector<DenseSpec>& variables, Precision precision, int max_rows,
         int output_stride);

  Status MakeLayer(int number, MlpInput input, int first_gradient, int gradient_stride);
  void ConvertWeights(const MlpCall& call);
  void NormaliseLayer(const MlpCall& call, Layer* layer, float* output);
  void Drop(const MlpCall& call, int number, Layer* layer, float* output);
  void ReluBackward(const MlpCall& call, const Layer& layer, const float* output, float* dy,
                    bool keep_float, float* sums);
  const void* LayerBackward(const MlpCall& call, Layer* layer, const float* output, float* dy,
                            float statistics_weight, float* dense_gradient);
  int64_t OffsetOf(int variable) const { return variables_[variable].offset; }
  bool half() const { return precision_ == Precision::kBf16; }

  const Mlp& mlp_;
  const std::vector<DenseSpec>& variables_;
  const Precision precision_;
  const int max_rows_, output_stride_;
  std::vector<std::unique_ptr<Layer>> layers_;
  int64_t converted_version_ = 0;
  AlignedVector<float> scratch_, sums_;    // [max_rows, widest], [widest]
  AlignedVector<float> gradients_[2];      // [max_rows, widest]: dy of even and odd layers
  AlignedVector<Bfloat16> half_gradient_;  // [max_rows, widest]
};

// n rounded up to whole vectors: the stride of a matrix with n columns.
inline int PaddedWidth(int n) { return (n + 15) / 16 * 16; }

}  // namespace capstan
