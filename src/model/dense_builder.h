// Collects the dense variables of a model with their initial values and optimizers.
#pragma once

#include <string>
#include <vector>

#include "model/model_spec.h"
#include "params/table_spec.h"

namespace capstan {

// Each Add… returns the variable's number.
class DenseBuilder {
 public:
  // `spec` must outlive the builder.
  explicit DenseBuilder(const ModelSpec& spec) : spec_(spec) {}

  // "SCOPE/weights" [in, out] and "SCOPE/biases" [out] of the deep part: Glorot, zeros.
  int AddWeights(const std::string& scope, int in, int out);
  int AddBiases(const std::string& scope, int out);
  // The same of the wide part, with its optimizer: zeros.
  int AddWideWeights(const std::string& scope, int in, int out);
  int AddWideBiases(const std::string& scope, int out);
  // `name` [count, dim]: vectors as those of tables.
  int AddEmbeddings(const std::string& name, int count, int dim);
  // Batch normalisation of `width` units: "SCOPE/scale", "SCOPE/shift"; and the moving averages
  // "SCOPE/moving_mean" and "SCOPE/moving_variance".
  int AddScale(const std::string& scope, int width);
  int AddShift(const std::string& scope, int width);
  int AddMovingMean(const std::string& scope, int width, float decay);
  int AddMovingVariance(const std::string& scope, int width, float decay);

  std::vector<DenseSpec> Take() { return std::move(variables_); }

 private:
  int Add(const std::string& name, Shape shape, const OptimizerSpec& optimizer,
          Initializer initializer);

  const ModelSpec& spec_;
  std::vector<DenseSpec> variables_;
};

// How a table's vectors of `dim` begin.
Initializer EmbeddingInitializer(const ModelSpec& spec, int dim);
// How wide weights begin.
Initializer WideInitializer(const ModelSpec& spec);

}  // namespace capstan
