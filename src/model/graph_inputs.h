// From what a request carries to ids and floats: the input half of an exported graph.
//
//   examples ── ParseExampleV2 ──┬─ PlaceholderWithDefault "price" ── log1p, standardise ── floats
//                                └─ PlaceholderWithDefault "user"  ── hash, vocabulary … ── ids
//
// The plain signature feeds the PlaceholderWithDefaults, which cuts the parser off; the signatures
// on Examples feed `examples`. So one body serves both.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "data/feature_spec.h"
#include "model/graph_builder.h"
#include "model/graph_variables.h"
#include "model/model_spec.h"

namespace capstan {

// How serving_default's inputs are called.
//   kByFeature   NAME; multi-valued: NAME, NAME_row_splits, NAME_weights
//   kDense2018   keys, features
//   kSparse2018  keys, indexs, ids, values, shape
// The 2018 forms are for specs with their naming and just the one feature that they carry.
enum class SignatureForm { kByFeature, kDense2018, kSparse2018 };
SignatureForm FormOf(const ModelSpec& spec);

// The values of one categorical feature.
struct CategoryInput {
  GraphTensor ids;       // int64 [values]; what Batch calls keys
  GraphTensor segments;  // int64 [values]: example of each value. No name: one value per example
  GraphTensor weights;   // float [values]. No name: all 1
};

// One input of serving_default.
struct PlainInput {
  std::string key;
  GraphTensor tensor;
  Shape shape;  // as the signature states it; -1 is any
};

struct GraphInputs {
  SignatureForm form = SignatureForm::kByFeature;
  GraphTensor examples;                   // string [batch]
  GraphTensor keys;                       // 2018: int32, goes through unchanged
  GraphTensor batch_size;                 // int32 scalar
  GraphTensor floats;                     // [batch, DenseWidth]; no name: the model has none
  std::vector<CategoryInput> categories;  // one per categorical feature, in order
  std::vector<PlainInput> plain;
};

// Errors: two features want one column in ways that do not go together.
StatusOr<GraphInputs> AddInputs(const ModelSpec& spec, GraphBuilder* graph,
                                GraphVariables* variables);

}  // namespace capstan
