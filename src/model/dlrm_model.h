// DLRM (arXiv:1906.00091): the dense floats go through the bottom Mlp; its output and the pooled
// embeddings meet in dot products of all pairs; the top Mlp takes [bottom output | dots].
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "model/feature_tables.h"
#include "model/mlp.h"
#include "model/model.h"

namespace capstan {

class DlrmModel : public Model {
 public:
  // The spec has passed CheckModelSpec, and is dlrm.
  explicit DlrmModel(const ModelSpec& spec);

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

  MlpCall CallOf(const SliceInput& input, bool training) const;
  void Compute(const SliceInput& input, bool training, Memory* memory) const;
  // Gradients of an example's vectors from those of the top's input.
  void InteractionBackward(int rows, Memory* memory, float* pooled) const;

  const ModelSpec spec_;
  const FeatureTables tables_;
  const int outputs_, floats_;
  const int vectors_, dim_;  // of an example: the bottom's output, then the embeddings
  std::optional<Mlp> bottom_, top_;
  std::vector<DenseSpec> variables_;
  int64_t dense_size_ = 0;
};

}  // namespace capstan
