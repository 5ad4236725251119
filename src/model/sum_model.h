// Models whose logits are sums of parts: lr, dnn, wide_and_deep, fm and deepfm.
//
//   wide   biases + Σ wide weights × coefficients + dense floats · weights
//   deep   Mlp of [dense floats | pooled embeddings], or of relu(pooled sum + biases)
//   fm     Σ of the dot products of all pairs of vectors: pooled embeddings, and x_f × factors_f
//   for
//          each dense float (Rendle 2010)
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/feature_tables.h"
#include "model/mlp.h"
#include "model/model.h"

namespace capstan {

class SumModel : public Model {
 public:
  // The spec has passed CheckModelSpec, and is not dlrm.
  explicit SumModel(const ModelSpec& spec);

  const ModelSpec& spec() const override { return spec_; }
  const std::vector<TableSpec>& tables() const override { return tables_.tables(); }
  const std::vector<DenseSpec>& dense_variables() const override { return variables_; }
  int64_t dense_size() const override { return dense_size_; }
  int table_of(int column) const override { return tables_.columns()[column].table; }
  StatusOr<std::unique_ptr<Workspace>> NewWorkspace(std::span<const PulledRowFormat> row_formats,
                                                    int max_slice) const override;
  void Forward(const SliceInput& input, Workspace* workspace, float* logits) const override;
  SliceResult Step(const SliceInput& input, Workspace* workspace, float* dense_gradient,
                   float* dlogits, float* pooled, float* logits) const override;
  int pooled_width() const override { return tables_.embedding_width(); }
  int pooled_offset(int column) const override { return tables_.columns()[column].pooled_offset; }

 private:
  struct Memory;

  bool HasFm() const { return spec_.kind == ModelKind::kFm || spec_.kind == ModelKind::kDeepFm; }
  Status MakeDeepMemory(int max_slice, Memory* memory) const;

  void ReadInput(const SliceInput& input, Memory* memory) const;
  void Compute(const SliceInput& input, bool training, Memory* memory) const;
  void AddWide(const SliceInput& input, Memory* memory) const;
  void AddDeep(const SliceInput& input, bool training, Memory* memory) const;
  void AddFm(const SliceInput& input, Memory* memory) const;
  void WideBackward(const SliceInput& input, Memory* memory, float* dense_gradient) const;
  void DeepBackward(const SliceInput& input, float weight_sum, Memory* memory,
                    float* dense_gradient, float* pooled) const;
  void FmBackward(const SliceInput& input, Memory* memory, float* dense_gradient,
                  float* pooled) const;

  const ModelSpec spec_;
  const FeatureTables tables_;
  const int outputs_, floats_;
  std::vector<DenseSpec> variables_;
  int64_t dense_size_ = 0;
  // Numbers of dense variables, or -1.
  int wide_weights_ = -1, wide_biases_ = -1, pooled_biases_ = -1, factors_ = -1;
  std::optional<Mlp> deep_;
};

}  // namespace capstan
