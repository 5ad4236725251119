#include "model/graph_scopes.h"

namespace capstan {
namespace {

std::vector<std::string> Numbered(const std::string& prefix, size_t count) {
  std::vector<std::string> scopes;
  for (size_t i = 0; i < count; ++i) scopes.push_back(prefix + std::to_string(i));
  return scopes;
}

}  // namespace

std::vector<std::string> DeepScopes(const ModelSpec& spec) {
  const size_t count = spec.deep.hidden.size();
  switch (spec.naming) {
    case Naming::kDense2018: {
      std::vector<std::string> scopes;
      if (count == 0) return scopes;
      scopes = Numbered("layer_", count - 1);
      scopes.insert(scopes.begin(), "input_layer");
      return scopes;
    }
    case Naming::kSparse2018:
      return Numbered("layer", count);
    case Naming::kModelFile:
      break;
  }
  return Numbered("deep/layer_", count);
}

std::vector<std::string> BottomScopes(const ModelSpec& spec) {
  return Numbered("bottom/layer_", spec.bottom.hidden.size());
}

std::string OutputScope(const ModelSpec& spec) {
  if (spec.naming == Naming::kDense2018) return "output_layer";
  return spec.naming == Naming::kSparse2018 ? "output" : "deep/output";
}

std::string WideScope(const ModelSpec& spec) {
  if (spec.naming == Naming::kDense2018) return "lr";
  return spec.naming == Naming::kSparse2018 ? "logistic_regression" : "wide";
}

std::string PooledScope(const ModelSpec& spec) {
  return spec.naming == Naming::kModelFile ? "deep/input" : "input";
}

}  // namespace capstan
