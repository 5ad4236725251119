// From logits to answers, and the signatures of an exported graph.
#pragma once

#include "model/graph_builder.h"
#include "model/graph_inputs.h"
#include "model/model_spec.h"

namespace tensorflow {
class MetaGraphDef;
}  // namespace tensorflow

namespace capstan {

// Adds the output nodes behind `logits` [batch, OutputCount] and, into `meta_graph`, every
// signature (docs/formats/export.md lists them). The names "prediction", "probability" and
// "softmax" must have been reserved.
void AddOutputs(const ModelSpec& spec, const GraphInputs& inputs, const GraphTensor& logits,
                GraphBuilder* graph, tensorflow::MetaGraphDef* meta_graph);

}  // namespace capstan
