// For tests: small models of every kind.
#pragma once

#include <string>

#include "model/model_spec.h"

namespace capstan {

struct Variation {
  std::string name;
  ModelKind kind = ModelKind::kWideAndDeep;
  Loss loss = Loss::kSigmoid;
  int classes = 2;
  bool batch_norm = false, dropout = false, lists = false, weights = false, pooled_layer = false;
  bool floats = true;
  Precision precision = Precision::kFp32;
};

inline FeatureSpec Category(const std::string& name, const std::string& table) {
  FeatureSpec feature;
  feature.name = feature.column = name;
  feature.type = FeatureType::kId;
  feature.table = table;
  return feature;
}

inline ModelSpec SpecOf(const Variation& v) {
  ModelSpec spec;
  spec.kind = v.kind;
  spec.loss = v.loss;
  spec.classes = v.classes;
  spec.precision = v.precision;
  if (v.floats && !v.pooled_layer) {
    FeatureSpec number;
    number.name = number.column = "numbers";
    number.length = 3;
    spec.input.features.push_back(number);
  }
  spec.embeddings = {{.name = "t", .dim = 4}};
  spec.input.features.push_back(Category("a", "t"));
  if (!v.pooled_layer) {
    spec.embeddings.push_back({.name = "u", .dim = 4});
    spec.input.features.push_back(Category("b", "u"));
    spec.input.features.push_back(Category("c", "t"));  // shares its table
    spec.input.features.push_back(Category("only_wide", "u"));
    spec.input.features.back().deep = false;
  }
  if (v.lists) {
    int number = 0;
    for (FeatureSpec& feature : spec.input.features) {
      if (!IsCategorical(feature)) continue;
      feature.multi_valued = number != 1;
      feature.combiner = number % 2 == 0 ? Combiner::kMean : Combiner::kSqrtN;
      if (number == 2) feature.weights = "w";
      ++number;
    }
  }
  spec.pooled_first_layer = v.pooled_layer;
  spec.deep.hidden = {7, 5};
  spec.bottom.hidden = {6, 4};
  spec.deep.batch_norm = spec.bottom.batch_norm = v.batch_norm;
  spec.deep.batch_norm_output = v.batch_norm && v.kind == ModelKind::kDnn;
  spec.deep.dropout = v.dropout ? 0.3f : 0.0f;
  if (v.weights) spec.class_weights.assign(v.loss == Loss::kMeanSquare ? 0 : v.classes, 1.5f);
  if (v.weights && !spec.class_weights.empty()) spec.class_weights[0] = 0.5f;
  return spec;
}

}  // namespace capstan
