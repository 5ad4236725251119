// What a graph restores: variables, lookup tables, and the nodes that fill them.
//
//   V (VarHandleOp) ── V/Read (ReadVariableOp) ── every reader
//   save/Const ── save/RestoreV2 ── save/Assign_k (one per variable) ── ^save/restore_all
//   T (table) ── T/fill (LookupTableImportV2) ── ^init_all, or ^save/restore_all in checkpoints
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/graph_builder.h"

namespace tensorflow {
class MetaGraphDef;
}  // namespace tensorflow

namespace capstan {

// Who fills the lookup tables.
enum class TableFilling {
  // SavedModels: an init op, from variables. HashTableV2, which must not be filled twice with
  // different keys, but nobody does that to a SavedModel.
  kInitOp,
  // Checkpoints: the restore op itself, since nothing runs an init op after saver.restore().
  // MutableHashTableV2: restoring another checkpoint into the same session replaces the keys.
  kRestoreOp,
};

// One per graph, one thread. `graph` must live longer.
class GraphVariables {
 public:
  GraphVariables(GraphBuilder* graph, TableFilling filling) : graph_(graph), filling_(filling) {}

  // Value of the variable that checkpoints call `name`; asked for twice, the same node.
  GraphTensor Variable(const std::string& name, DType dtype, const Shape& shape, bool trainable);

  // Handle of a table id → row. Keys are the int64 variable `keys_name` of `rows` elements (-1:
  // any number); the row of a key is its place. Asked for twice, the same table.
  GraphTensor RowTable(const std::string& name, const std::string& keys_name, int64_t rows);

  // Handle of a table word → place in `words`, which are distinct and not none.
  GraphTensor WordTable(const std::string& name, const std::vector<std::string>& words);

  // The int64 scalar "global_step", which no node reads.
  void AddGlobalStep();

  // Writes the restore nodes (checkpoints: the save nodes too; SavedModels: the init op) and, into
  // `meta_graph`, saver_def, collections and the init op's signature.
  void Finish(tensorflow::MetaGraphDef* meta_graph);

 private:
  struct Entry {
    std::string name;  // in checkpoints
    Shape shape;
    bool trainable = false;
    bool global_step = false;
    GraphTensor handle, value;
    DType dtype = DType::kInvalid;
  };
  struct Filling {
    GraphTensor table;
    std::string keys_name;     // RowTable
    GraphTensor keys, values;  // WordTable
  };

  GraphTensor AddFill(const Filling& filling, const GraphTensor& restore);
  GraphTensor AddRestore(const GraphTensor& path);
  std::string AddSave(const GraphTensor& path);
  size_t PlaceOf(const std::string& name) const;
  void AddCollections(tensorflow::MetaGraphDef* meta_graph) const;

  GraphBuilder* const graph_;
  const TableFilling filling_;
  std::vector<Entry> entries_;
  std::map<std::string, size_t> place_of_;
  std::vector<Filling> fillings_;
  std::map<std::string, GraphTensor> row_tables_;  // [keys_name]
};

}  // namespace capstan
