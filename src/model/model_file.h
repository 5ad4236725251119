// Model files: a ModelSpec in YAML (docs/model_file.md is the manual).
//
//   model: wide_and_deep                 # lr dnn wide_and_deep fm deepfm dlrm
//   label: label
//   features:
//     - {name: "I{1..13}", type: float, log1p: true}       # thirteen features
//     - {name: "C{1..26}", type: id}                       # their tables: C1 … C26
//     - {name: C1xC2, type: cross, of: [C1, C2], deep: false}
//   embedding: {dim: 16}
//   deep: {hidden: [256, 128, 64], optimizer: adagrad}
//   wide: {optimizer: {name: ftrl, learning_rate: 0.05}}
#pragma once

#include <string>

#include "base/status.h"
#include "model/model_spec.h"

namespace capstan {

// `name` is the file's, for messages ("model.yaml:12:3: unknown key 'optimzer', nearest is …").
StatusOr<ModelSpec> ParseModelFile(const std::string& text, const std::string& name);

// The spec as a model file with everything spelled out; parses to the same spec. Exports carry it.
std::string ToModelFile(const ModelSpec& spec);

}  // namespace capstan
