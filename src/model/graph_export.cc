#include "model/graph_export.h"

#include "model/graph_builder.h"
#include "model/graph_inputs.h"
#include "model/graph_model.h"
#include "model/graph_outputs.h"
#include "model/graph_variables.h"
#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

// Nodes that people and programs name: never a feature's or a variable's.
constexpr const char* kOutputNames[] = {"prediction", "probability", "softmax"};

Status CheckRows(const Model& model, std::span<const int64_t> table_rows) {
  const std::vector<TableSpec>& tables = model.tables();
  if (table_rows.size() != tables.size()) {
    return Error("export: rows of {} tables given, the model has {}", table_rows.size(),
                 tables.size());
  }
  for (size_t i = 0; i < tables.size(); ++i) {
    if (tables[i].dense_size == 0 && table_rows[i] < 1) {
      return Error("export table '{}': {} rows, wanted at least 1", tables[i].name, table_rows[i]);
    }
  }
  return OkStatus();
}

StatusOr<std::unique_ptr<tensorflow::MetaGraphDef>> Build(const Model& model,
                                                          std::span<const int64_t> table_rows,
                                                          TableFilling filling) {
  auto meta_graph = std::make_unique<tensorflow::MetaGraphDef>();
  GraphBuilder graph;
  for (const char* name : kOutputNames) graph.Reserve(name);
  GraphVariables variables(&graph, filling);
  ASSIGN_OR_RETURN(const GraphInputs inputs, AddInputs(model.spec(), &graph, &variables));
  ASSIGN_OR_RETURN(const GraphTensor logits,
                   AddLogits(model, table_rows, inputs, &graph, &variables));
  AddOutputs(model.spec(), inputs, logits, &graph, meta_graph.get());
  if (filling == TableFilling::kRestoreOp) variables.AddGlobalStep();
  variables.Finish(meta_graph.get());
  meta_graph->mutable_meta_info_def()->add_tags("serve");
  meta_graph->set_allocated_graph_def(graph.Release().release());
  return meta_graph;
}

}  // namespace

StatusOr<std::unique_ptr<tensorflow::MetaGraphDef>> BuildServingGraph(
    const Model& model, std::span<const int64_t> table_rows) {
  RETURN_IF_ERROR(CheckRows(model, table_rows));
  return Build(model, table_rows, TableFilling::kInitOp);
}

StatusOr<std::unique_ptr<tensorflow::MetaGraphDef>> BuildCheckpointGraph(const Model& model) {
  const std::vector<int64_t> any_number(model.tables().size(), -1);
  return Build(model, any_number, TableFilling::kRestoreOp);
}

}  // namespace capstan
