// How the layers of a model are called, by naming: the scopes of its variables and nodes.
//
//   kModelFile   deep/layer_0 …, deep/output, bottom/layer_0 …, wide
//   kDense2018   input_layer, layer_0 …, output_layer, lr
//   kSparse2018  input (the pooled layer), layer0 …, output, logistic_regression
#pragma once

#include <string>
#include <vector>

#include "model/model_spec.h"

namespace capstan {

// Hidden layers of the deep part (dlrm: the top) in order.
std::vector<std::string> DeepScopes(const ModelSpec& spec);
std::vector<std::string> BottomScopes(const ModelSpec& spec);
std::string OutputScope(const ModelSpec& spec);
std::string WideScope(const ModelSpec& spec);
// Of the biases of a pooled first layer.
std::string PooledScope(const ModelSpec& spec);

}  // namespace capstan
