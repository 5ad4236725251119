#include "model/graph_variables.h"

#include <fmt/format.h>

#include <numeric>

#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

constexpr char kInitOpKey[] = "__saved_model_init_op";

}  // namespace

GraphTensor GraphVariables::Variable(const std::string& name, DType dtype, const Shape& shape,
                                     bool trainable) {
  const auto [it, added] = place_of_.emplace(name, entries_.size());
  if (!added) return entries_[it->second].value;
  Entry entry{.name = name, .shape = shape, .trainable = trainable, .dtype = dtype};
  entry.handle = graph_->AddShared("VarHandleOp", name, {{"dtype", dtype}, {"shape", shape}});
  entry.value = graph_->Add("ReadVariableOp", entry.handle.name + "/Read", {{entry.handle}},
                            {{"dtype", dtype}}, dtype);
  entries_.push_back(entry);
  return entry.value;
}

GraphTensor GraphVariables::RowTable(const std::string& name, const std::string& keys_name,
                                     int64_t rows) {
  if (const auto it = row_tables_.find(keys_name); it != row_tables_.end()) return it->second;
  const bool is_mutable = filling_ == TableFilling::kRestoreOp;
  const GraphTensor table =
      graph_->AddShared(is_mutable ? "MutableHashTableV2" : "HashTableV2", name + "-rows",
                        {{"key_dtype", DType::kInt64}, {"value_dtype", DType::kInt64}});
  Variable(keys_name, DType::kInt64, {rows}, false);
  fillings_.push_back({.table = table, .keys_name = keys_name});
  return row_tables_[keys_name] = table;
}

GraphTensor GraphVariables::WordTable(const std::string& name,
                                      const std::vector<std::string>& words) {
  const GraphTensor table = graph_->AddShared(
      "HashTableV2", name, {{"key_dtype", DType::kString}, {"value_dtype", DType::kInt64}});
  const Shape shape = {static_cast<int64_t>(words.size())};
  std::vector<int64_t> places(words.size());
  std::iota(places.begin(), places.end(), 0);
  fillings_.push_back({.table = table,
                       .keys = graph_->Strings(table.name + "/words", shape, words),
                       .values = graph_->Ints(table.name + "/places", shape, places)});
  return table;
}

void GraphVariables::AddGlobalStep() {
  Variable("global_step", DType::kInt64, {}, false);
  entries_.back().global_step = true;
}

size_t GraphVariables::PlaceOf(const std::string& name) const { return place_of_.at(name); }

// `restore`: the RestoreV2 node to take the keys from; without a name they come from the variable.
GraphTensor GraphVariables::AddFill(const Filling& filling, const GraphTensor& restore) {
  GraphTensor keys = filling.keys, values = filling.values;
  const std::string& name = filling.table.name;
  if (!filling.keys_name.empty()) {
    const size_t place = PlaceOf(filling.keys_name);
    keys = restore.name.empty()
               ? entries_[place].value
               : GraphBuilder::OutputOf(restore, static_cast<int>(place), DType::kInt64);
    const GraphTensor size =
        graph_->Add("Size", name + "/size", {{keys}},
                    {{"T", DType::kInt64}, {"out_type", DType::kInt64}}, DType::kInt64);
    values =
        graph_->Add("Range", name + "/range", {{graph_->Scalar64(0), size, graph_->Scalar64(1)}},
                    {{"Tidx", DType::kInt64}}, DType::kInt64);
  }
  return graph_->Add("LookupTableImportV2", name + "/fill", {{filling.table, keys, values}},
                     {{"Tin", keys.dtype}, {"Tout", DType::kInt64}}, DType::kInvalid);
}

GraphTensor GraphVariables::AddRestore(const GraphTensor& path) {
  std::vector<std::string> names;
  std::vector<DType> dtypes;
  for (const Entry& entry : entries_) {
    names.push_back(entry.name);
    dtypes.push_back(entry.dtype);
  }
  const Shape shape = {static_cast<int64_t>(names.size())};
  const std::vector<std::string> slices(names.size());
  return graph_->Add("RestoreV2", "save/RestoreV2",
                     {{path, graph_->Strings("save/RestoreV2/tensor_names", shape, names),
                       graph_->Strings("save/RestoreV2/shape_and_slices", shape, slices)}},
                     {{"dtypes", dtypes}}, DType::kInvalid);
}

// Returns the tensor to fetch for a save.
std::string GraphVariables::AddSave(const GraphTensor& path) {
  std::vector<std::string> names;
  std::vector<DType> dtypes;
  std::vector<GraphTensor> inputs = {path, {}, {}};
  for (const Entry& entry : entries_) {
    names.push_back(entry.name);
    dtypes.push_back(entry.dtype);
    inputs.push_back(entry.value);
  }
  const Shape shape = {static_cast<int64_t>(names.size())};
  inputs[1] = graph_->Strings("save/SaveV2/tensor_names", shape, names);
  inputs[2] = graph_->Strings("save/SaveV2/shape_and_slices", shape,
                              std::vector<std::string>(names.size()));
  const GraphTensor save =
      graph_->Add("SaveV2", "save/SaveV2", inputs, {{"dtypes", dtypes}}, DType::kInvalid);
  const GraphTensor done =
      graph_->Add("Identity", "save/control_dependency", {{path, GraphBuilder::Control(save)}},
                  {{"T", DType::kString}}, DType::kString);
  return GraphBuilder::TensorName(done);
}

void GraphVariables::AddCollections(tensorflow::MetaGraphDef* meta_graph) const {
  auto& collections = *meta_graph->mutable_collection_def();
  for (const Entry& entry : entries_) {
    tensorflow::VariableDef variable;
    variable.set_variable_name(GraphBuilder::TensorName(entry.handle));
    variable.set_initializer_name(meta_graph->saver_def().restore_op_name());
    variable.set_snapshot_name(GraphBuilder::TensorName(entry.value));
    variable.set_is_resource(true);
    variable.set_trainable(entry.trainable);
    const std::string bytes = variable.SerializeAsString();
    collections["variables"].mutable_bytes_list()->add_value(bytes);
    if (entry.trainable) {
      collections["trainable_variables"].mutable_bytes_list()->add_value(bytes);
    }
    if (entry.global_step) collections["global_step"].mutable_bytes_list()->add_value(bytes);
  }
}

void GraphVariables::Finish(tensorflow::MetaGraphDef* meta_graph) {
  const std::vector<std::string> model = {"model"};
  const GraphTensor path = graph_->Strings("save/Const", {}, model);
  const GraphTensor restore = AddRestore(path);
  std::vector<GraphTensor> restored;
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& entry = entries_[i];
    const GraphTensor value = GraphBuilder::OutputOf(restore, static_cast<int>(i), entry.dtype);
    restored.push_back(GraphBuilder::Control(
        graph_->Add("AssignVariableOp", fmt::format("save/Assign_{}", i), {{entry.handle, value}},
                    {{"dtype", entry.dtype}}, DType::kInvalid)));
  }
  const bool fills_in_restore = filling_ == TableFilling::kRestoreOp;
  std::vector<GraphTensor> filled;
  for (const Filling& filling : fillings_) {
    filled.push_back(
        GraphBuilder::Control(AddFill(filling, fills_in_restore ? restore : GraphTensor{})));
  }
  if (fills_in_restore) restored.insert(restored.end(), filled.begin(), filled.end());
  const GraphTensor all = graph_->Add("NoOp", "save/restore_all", restored, {}, DType::kInvalid);

  tensorflow::SaverDef* saver = meta_graph->mutable_saver_def();
  saver->set_filename_tensor_name(GraphBuilder::TensorName(path));
  // SavedModels are not saved again: any tensor will do.
  saver->set_save_tensor_name(fills_in_restore ? AddSave(path) : GraphBuilder::TensorName(path));
  saver->set_restore_op_name(all.name);
  saver->set_max_to_keep(5);
  saver->set_version(tensorflow::SaverDef::V2);
  AddCollections(meta_graph);
  if (fills_in_restore) return;

  const GraphTensor init = graph_->Add("NoOp", "init_all", filled, {}, DType::kInvalid);
  (*(*meta_graph->mutable_signature_def())[kInitOpKey].mutable_outputs())[kInitOpKey].set_name(
      init.name);
}

}  // namespace capstan
