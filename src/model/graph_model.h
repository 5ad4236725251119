// The model of an exported graph: ids and floats → logits, as Model::Forward computes them.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "model/graph_builder.h"
#include "model/graph_inputs.h"
#include "model/graph_variables.h"
#include "model/model.h"

namespace capstan {

// Returns the logits [batch, OutputCount]. `table_rows` by table; -1: any number. Errors: the
// model has no variable or table part of a name that its spec implies.
StatusOr<GraphTensor> AddLogits(const Model& model, std::span<const int64_t> table_rows,
                                const GraphInputs& inputs, GraphBuilder* graph,
                                GraphVariables* variables);

}  // namespace capstan
