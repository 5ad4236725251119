// What a table of rows and a dense variable are made of: pure data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "params/optimizer.h"
#include "tensor/dtype.h"

namespace capstan {

// How weights begin. Values are a pure function of (seed, name, position or key).
struct Initializer {
  enum class Kind { kZero, kConstant, kUniform, kNormal, kTruncatedNormal };
  Kind kind = Kind::kZero;
  float scale = 0.0f;  // the constant; uniform in [-scale, scale); standard deviation
};

// One vector in each row: the wide weight(s), the embedding, …
struct RowPart {
  std::string name;      // "wide", "embedding"
  std::string variable;  // in checkpoints: "tables/user/embedding"; slots are "VARIABLE/Adagrad"
  int dim = 1;
  OptimizerSpec optimizer;
  Initializer initializer;
};

struct TableSpec {
  std::string name;  // "user"
  std::string
      variable;  // in checkpoints: "tables/user" gives "tables/user-keys", "-freqs", "-versions"
  std::vector<RowPart> parts;
  // > 0: keys are ids in [0, dense_size) and checkpoints hold [dense_size, dim] variables without
  // keys (rows never seen are written with their initial values).
  int64_t dense_size = 0;
  // A key gets its row when it comes after it has been seen so often in earlier steps; 0, 1: at
  // once.
  uint32_t admission_count = 0;
  int64_t expiry_steps = 0;  // rows unseen for more steps go; 0: never
};

// A dense variable. All of a model lie one after another in one flat float array.
struct DenseSpec {
  std::string variable;  // in checkpoints
  Shape shape;
  OptimizerSpec optimizer;
  Initializer initializer;
  bool trainable = true;  // false: a constant of the model (feature means): no slots, no gradient
  // Where this piece begins in the whole variable, in floats: initial values go by that position.
  int64_t first_element = 0;
  int64_t offset = 0;  // in floats, a multiple of 16; set by LayOutDense
};

// Sets the offsets; returns the floats of the flat array (a multiple of 16).
int64_t LayOutDense(std::vector<DenseSpec>* variables);

}  // namespace capstan
