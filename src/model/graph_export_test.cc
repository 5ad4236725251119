#include "model/graph_export.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "formats/saved_model.h"
#include "model/model_file.h"
#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

constexpr char kEveryType[] = R"(
model: wide_and_deep
tables: [{name: items, dim: 3, size: 40}]
deep: {hidden: [8, 4], batch_norm: true}
features:
  - {name: price, type: float, log1p: true, standardise: true, mean: [1], stddev: [2]}
  - {name: bucket, column: price, type: bucket, boundaries: [0, 1], default: 3}
  - {name: user, type: id}
  - {name: item, type: id, size: 40, table: items}
  - {name: city, type: hash, buckets: 100}
  - {name: kind, type: vocabulary, vocabulary: [a, b]}
  - {name: tags, type: id, combiner: mean, weights: tag_weights}
  - {name: user_city, type: cross, of: [user, city]}
)";
constexpr char kDlrm[] = R"(
model: dlrm
deep: {hidden: [4]}
bottom: {hidden: [6, 16]}
features: [{name: x, type: float, length: 2}, {name: a, type: id}, {name: b, type: id}]
)";
constexpr char kDense2018[] = R"(
model: wide_and_deep
naming: dense_2018
loss: softmax
deep: {hidden: [8, 4]}
features: [{name: features, type: float, length: 9}]
)";
constexpr char kSparse2018[] = R"(
model: wide_and_deep
naming: sparse_2018
loss: softmax
pooled_first_layer: true
deep: {hidden: [4]}
tables: [{name: input, dim: 8, size: 124}]
features: [{name: ids, type: id, size: 124, table: input, combiner: sum, weights: values}]
)";
constexpr char kRegression[] = R"(
model: deepfm
loss: mean_square
deep: {hidden: [4]}
features: [{name: x, type: float}, {name: a, type: id}]
)";

std::unique_ptr<Model> ModelOf(const std::string& text) {
  StatusOr<ModelSpec> spec = ParseModelFile(text, "test");
  EXPECT_TRUE(spec.ok()) << Message(spec.status());
  if (!spec.ok()) return nullptr;
  StatusOr<std::unique_ptr<Model>> model = NewModel(*spec);
  EXPECT_TRUE(model.ok()) << Message(model.status());
  return model.ok() ? *std::move(model) : nullptr;
}

std::unique_ptr<tensorflow::MetaGraphDef> ServingGraph(const std::string& text) {
  const std::unique_ptr<Model> model = ModelOf(text);
  auto graph = BuildServingGraph(*model, std::vector<int64_t>(model->tables().size(), 5));
  EXPECT_TRUE(graph.ok()) << Message(graph.status());
  return graph.ok() ? *std::move(graph) : std::make_unique<tensorflow::MetaGraphDef>();
}

std::unique_ptr<tensorflow::MetaGraphDef> CheckpointGraph(const std::string& text) {
  auto graph = BuildCheckpointGraph(*ModelOf(text));
  EXPECT_TRUE(graph.ok()) << Message(graph.status());
  return graph.ok() ? *std::move(graph) : std::make_unique<tensorflow::MetaGraphDef>();
}

const tensorflow::NodeDef* FindNode(const tensorflow::MetaGraphDef& meta_graph,
                                    const std::string& name) {
  for (const tensorflow::NodeDef& node : meta_graph.graph_def().node()) {
    if (node.name() == name) return &node;
  }
  return nullptr;
}

std::string NodeOf(std::string name) {
  if (name.starts_with("^")) name.erase(0, 1);
  return name.substr(0, name.find(':'));
}

std::set<std::string> KeysOf(
    const google::protobuf::Map<std::string, tensorflow::TensorInfo>& infos) {
  std::set<std::string> keys;
  for (const auto& [key, info] : infos) keys.insert(key);
  return keys;
}

// What holds for every graph.
void CheckSound(const tensorflow::MetaGraphDef& meta_graph) {
  std::set<std::string> names;
  for (const tensorflow::NodeDef& node : meta_graph.graph_def().node()) {
    EXPECT_TRUE(names.insert(node.name()).second) << node.name() << " stands twice";
    EXPECT_NE(node.op(), "ResourceGather");
    EXPECT_EQ(node.device(), "");
    if (node.op() == "VarHandleOp" || node.op().ends_with("TableV2")) {
      EXPECT_EQ(node.attr().at("shared_name").s(), node.name());
    }
  }
  for (const tensorflow::NodeDef& node : meta_graph.graph_def().node()) {
    bool control = false;
    for (const std::string& input : node.input()) {
      EXPECT_TRUE(names.contains(NodeOf(input))) << node.name() << " reads " << input;
      EXPECT_TRUE(!control || input.starts_with("^")) << node.name();
      control = input.starts_with("^");
    }
  }
  for (const auto& [key, signature] : meta_graph.signature_def()) {
    for (const auto* infos : {&signature.inputs(), &signature.outputs()}) {
      for (const auto& [alias, info] : *infos) {
        EXPECT_TRUE(names.contains(NodeOf(info.name()))) << key << " " << alias;
        if (!key.starts_with("__")) {
          EXPECT_TRUE(info.has_tensor_shape()) << key << " " << alias;
          EXPECT_NE(info.name().find(':'), std::string::npos) << info.name();
        }
      }
    }
  }
  const tensorflow::SaverDef& saver = meta_graph.saver_def();
  for (const std::string& name : {saver.filename_tensor_name(), saver.save_tensor_name()}) {
    EXPECT_TRUE(name.ends_with(":0")) << name;
    EXPECT_TRUE(names.contains(NodeOf(name))) << name;
  }
  EXPECT_TRUE(names.contains(saver.restore_op_name()));
  for (const std::string& bytes :
       meta_graph.collection_def().at("variables").bytes_list().value()) {
    tensorflow::VariableDef variable;
    ASSERT_TRUE(variable.ParseFromString(bytes));
    EXPECT_TRUE(names.contains(NodeOf(variable.variable_name())));
    EXPECT_TRUE(names.contains(NodeOf(variable.snapshot_name())));
    EXPECT_TRUE(names.contains(variable.initializer_name()));
  }
}

TEST(GraphExportTest, GraphsAreSound) {
  for (const char* text : {kEveryType, kDlrm, kDense2018, kSparse2018, kRegression}) {
    SCOPED_TRACE(text);
    CheckSound(*ServingGraph(text));
    CheckSound(*CheckpointGraph(text));
  }
}

TEST(GraphExportTest, SameModelSameBytes) {
  for (const char* text : {kEveryType, kDlrm, kSparse2018}) {
    EXPECT_EQ(*SerializeDeterministically(*ServingGraph(text)),
              *SerializeDeterministically(*ServingGraph(text)));
    EXPECT_EQ(*SerializeDeterministically(*CheckpointGraph(text)),
              *SerializeDeterministically(*CheckpointGraph(text)));
  }
}

// Everything that a bundle must hold, and nothing else, is restored.
TEST(GraphExportTest, RestoresTheModelsVariables) {
  for (const char* text : {kEveryType, kDlrm, kDense2018, kSparse2018, kRegression}) {
    SCOPED_TRACE(text);
    const std::unique_ptr<Model> model = ModelOf(text);
    std::set<std::string> wanted;
    for (const DenseSpec& dense : model->dense_variables()) wanted.insert(dense.variable);
    for (const TableSpec& table : model->tables()) {
      if (table.dense_size == 0) wanted.insert(table.variable + "-keys");
      for (const RowPart& part : table.parts) wanted.insert(part.variable);
    }
    for (const bool checkpoint : {false, true}) {
      const auto meta_graph = checkpoint ? CheckpointGraph(text) : ServingGraph(text);
      const tensorflow::NodeDef* names = FindNode(*meta_graph, "save/RestoreV2/tensor_names");
      ASSERT_NE(names, nullptr);
      const auto& values = names->attr().at("value").tensor().string_val();
      std::set<std::string> restored(values.begin(), values.end());
      EXPECT_EQ(FindNode(*meta_graph, "save/RestoreV2")->attr().at("dtypes").list().type_size(),
                values.size());
      EXPECT_EQ(restored.erase("global_step"), checkpoint ? 1u : 0u);
      EXPECT_EQ(restored, wanted);
    }
  }
}

TEST(GraphExportTest, SignaturesOfAModelFile) {
  const auto meta_graph = ServingGraph(kEveryType);
  const auto& signatures = meta_graph->signature_def();
  const tensorflow::SignatureDef& plain = signatures.at("serving_default");
  EXPECT_EQ(plain.method_name(), "tensorflow/serving/predict");
  EXPECT_EQ(KeysOf(plain.inputs()),
            (std::set<std::string>{"price", "bucket", "user", "item", "city", "kind", "tags",
                                   "tags_row_splits", "tags_weights"}));
  EXPECT_EQ(KeysOf(plain.outputs()), (std::set<std::string>{"prediction", "probability"}));
  EXPECT_EQ(plain.outputs().at("probability").name(), "probability:0");
  EXPECT_EQ(KeysOf(signatures.at("predict_examples").inputs()), std::set<std::string>{"examples"});
  EXPECT_EQ(signatures.at("classify").method_name(), "tensorflow/serving/classify");
  EXPECT_EQ(KeysOf(signatures.at("regress").outputs()), std::set<std::string>{"outputs"});
  EXPECT_EQ(signatures.at("__saved_model_init_op").outputs().at("__saved_model_init_op").name(),
            "init_all");
  ASSERT_EQ(meta_graph->meta_info_def().tags_size(), 1);
  EXPECT_EQ(meta_graph->meta_info_def().tags(0), "serve");
}

TEST(GraphExportTest, SignaturesOf2018) {
  const auto dense = ServingGraph(kDense2018);
  const tensorflow::SignatureDef& plain = dense->signature_def().at("serving_default");
  EXPECT_EQ(plain.inputs().at("keys").name(), "keys:0");
  EXPECT_EQ(plain.inputs().at("features").name(), "features:0");
  EXPECT_EQ(KeysOf(plain.inputs()), (std::set<std::string>{"keys", "features"}));
  EXPECT_EQ(KeysOf(plain.outputs()), (std::set<std::string>{"keys", "prediction", "softmax"}));
  EXPECT_EQ(plain.outputs().at("softmax").name(), "softmax:0");
  const auto sparse = ServingGraph(kSparse2018);
  EXPECT_EQ(KeysOf(sparse->signature_def().at("serving_default").inputs()),
            (std::set<std::string>{"keys", "indexs", "ids", "values", "shape"}));
}

TEST(GraphExportTest, RegressionHasNoClasses) {
  const auto meta_graph = ServingGraph(kRegression);
  EXPECT_EQ(KeysOf(meta_graph->signature_def().at("serving_default").outputs()),
            std::set<std::string>{"prediction"});
  EXPECT_FALSE(meta_graph->signature_def().contains("classify"));
  EXPECT_TRUE(meta_graph->signature_def().contains("regress"));
}

TEST(GraphExportTest, CheckpointsFillTablesWhenRestoring) {
  const auto meta_graph = CheckpointGraph(kEveryType);
  EXPECT_FALSE(meta_graph->signature_def().contains("__saved_model_init_op"));
  EXPECT_EQ(meta_graph->collection_def().at("global_step").bytes_list().value_size(), 1);
  const tensorflow::NodeDef* restore = FindNode(*meta_graph, "save/restore_all");
  ASSERT_NE(restore, nullptr);
  std::set<std::string> inputs(restore->input().begin(), restore->input().end());
  for (const tensorflow::NodeDef& node : meta_graph->graph_def().node()) {
    if (node.op() == "LookupTableImportV2" || node.op() == "AssignVariableOp") {
      EXPECT_TRUE(inputs.contains("^" + node.name())) << node.name();
    }
  }
}

TEST(GraphExportTest, RefusesTablesWithoutRows) {
  const std::unique_ptr<Model> model = ModelOf(kDlrm);
  const auto none = BuildServingGraph(*model, std::vector<int64_t>{3, 0});
  EXPECT_EQ(Message(none.status()), "export table 'b': 0 rows, wanted at least 1");
  const auto too_few = BuildServingGraph(*model, std::vector<int64_t>{3});
  EXPECT_EQ(Message(too_few.status()), "export: rows of 1 tables given, the model has 2");
}

TEST(GraphExportTest, RefusesAColumnOfTwoTypes) {
  const std::unique_ptr<Model> model =
      ModelOf("model: lr\nfeatures: [{name: a, type: id}, {name: b, column: a, type: float}]\n");
  EXPECT_EQ(Message(BuildCheckpointGraph(*model).status()),
            "export feature 'b': column 'a' is read as int64 by one feature and as float32 by "
            "another");
}

}  // namespace
}  // namespace capstan
