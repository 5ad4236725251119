#include "model/dense_builder.h"

#include <cmath>
#include <utility>

namespace capstan {
namespace {

using Kind = Initializer::Kind;
constexpr Initializer kStandardNormal = {Kind::kNormal, 1.0f};

// What begins as `value` unless all begins as N(0, 1).
Initializer Constant(const ModelSpec& spec, float value) {
  if (spec.init == "normal1") return kStandardNormal;
  return value == 0.0f ? Initializer{} : Initializer{Kind::kConstant, value};
}

OptimizerSpec MovingAverage(float decay) {
  OptimizerSpec optimizer;
  optimizer.kind = OptimizerKind::kMovingAverage;
  optimizer.decay = decay;
  return optimizer;
}

}  // namespace

Initializer EmbeddingInitializer(const ModelSpec& spec, int dim) {
  if (spec.init == "normal1") return kStandardNormal;
  if (spec.embedding_init_stddev > 0) return {Kind::kNormal, spec.embedding_init_stddev};
  return {Kind::kUniform, 1.0f / std::sqrt(static_cast<float>(dim))};
}

Initializer WideInitializer(const ModelSpec& spec) { return Constant(spec, 0.0f); }

int DenseBuilder::Add(const std::string& name, Shape shape, const OptimizerSpec& optimizer,
                      Initializer initializer) {
  DenseSpec variable;
  variable.variable = name;
  variable.shape = std::move(shape);
  variable.optimizer = optimizer;
  variable.initializer = initializer;
  variables_.push_back(std::move(variable));
  return static_cast<int>(variables_.size()) - 1;
}

int DenseBuilder::AddWeights(const std::string& scope, int in, int out) {
  const Initializer glorot = {Kind::kUniform, std::sqrt(6.0f / static_cast<float>(in + out))};
  return Add(scope + "/weights", {in, out}, spec_.deep_optimizer,
             spec_.init == "normal1" ? kStandardNormal : glorot);
}

int DenseBuilder::AddBiases(const std::string& scope, int out) {
  return Add(scope + "/biases", {out}, spec_.deep_optimizer, Constant(spec_, 0.0f));
}

int DenseBuilder::AddWideWeights(const std::string& scope, int in, int out) {
  return Add(scope + "/weights", {in, out}, spec_.wide_optimizer, WideInitializer(spec_));
}

int DenseBuilder::AddWideBiases(const std::string& scope, int out) {
  return Add(scope + "/biases", {out}, spec_.wide_optimizer, WideInitializer(spec_));
}

int DenseBuilder::AddEmbeddings(const std::string& name, int count, int dim) {
  return Add(name, {count, dim}, spec_.deep_optimizer, EmbeddingInitializer(spec_, dim));
}

int DenseBuilder::AddScale(const std::string& scope, int width) {
  return Add(scope + "/scale", {width}, spec_.deep_optimizer, Constant(spec_, 1.0f));
}

int DenseBuilder::AddShift(const std::string& scope, int width) {
  return Add(scope + "/shift", {width}, spec_.deep_optimizer, Constant(spec_, 0.0f));
}

int DenseBuilder::AddMovingMean(const std::string& scope, int width, float decay) {
  return Add(scope + "/moving_mean", {width}, MovingAverage(decay), {});
}

int DenseBuilder::AddMovingVariance(const std::string& scope, int width, float decay) {
  return Add(scope + "/moving_variance", {width}, MovingAverage(decay), {Kind::kConstant, 1.0f});
}

}  // namespace capstan
