#include "formats/saved_model.h"

#include <gtest/gtest.h>

#include <google/protobuf/stubs/logging.h>
#include <cstdlib>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/says.h"
#include "tensorflow/saved_model.pb.h"

namespace capstan {
namespace {

tensorflow::MetaGraphDef SomeMetaGraph() {
  tensorflow::MetaGraphDef meta_graph;
  meta_graph.mutable_meta_info_def()->add_tags("serve");
  for (const char* name : {"x", "y", "z", "a", "b"}) {
    tensorflow::NodeDef* node = meta_graph.mutable_graph_def()->add_node();
    node->set_name(name);
    node->set_op("Placeholder");
    (*node->mutable_attr())["dtype"].set_type(tensorflow::DT_FLOAT);
    (*node->mutable_attr())["shape"].mutable_shape();
    auto& inputs = *(*meta_graph.mutable_signature_def())["serving_default"].mutable_inputs();
    inputs[name].set_name(std::string(name) + ":0");
  }
  return meta_graph;
}

TEST(SavedModelTest, RoundTripAndEqualBytes) {
  MemoryFileSystem fs;
  ASSERT_TRUE(WriteSavedModelProto(fs, "export/1", SomeMetaGraph()).ok());
  ASSERT_TRUE(WriteSavedModelProto(fs, "export/2", SomeMetaGraph()).ok());
  EXPECT_TRUE(IsSavedModel(fs, "export/1"));
  EXPECT_EQ(*ReadFile(fs, "export/1/saved_model.pb"), *ReadFile(fs, "export/2/saved_model.pb"));
  const auto model = ReadSavedModel(fs, "export/1");
  ASSERT_TRUE(model.ok()) << Message(model.status());
  EXPECT_EQ((*model)->saved_model_schema_version(), 1);
  ASSERT_EQ((*model)->meta_graphs_size(), 1);
  EXPECT_EQ(*SerializeDeterministically((*model)->meta_graphs(0)),
            *SerializeDeterministically(SomeMetaGraph()));
  EXPECT_EQ(SavedModelVariablesPrefix("export/1"), "export/1/variables/variables");
}

TEST(SavedModelTest, TextForm) {
  MemoryFileSystem fs;
  fs.Put("m/saved_model.pbtxt", "meta_graphs { meta_info_def { tags: 'serve' } }");
  EXPECT_TRUE(IsSavedModel(fs, "m"));
  EXPECT_EQ((*ReadSavedModel(fs, "m"))->meta_graphs(0).meta_info_def().tags(0), "serve");
  fs.Put("m/saved_model.pbtxt", "meta_graphs {\n meta_info_def ]\n}");
  EXPECT_TRUE(Says(ReadSavedModel(fs, "m").status(), "read m/saved_model.pbtxt line 2: "));
}

TEST(SavedModelTest, DamageIsAnErrorOrAModel) {
  MemoryFileSystem fs;
  const std::string path = "m/saved_model.pb";
  EXPECT_TRUE(Says(ReadSavedModel(fs, "m").status(), path));
  EXPECT_FALSE(IsSavedModel(fs, "m"));
  ASSERT_TRUE(WriteSavedModelProto(fs, "m", SomeMetaGraph()).ok());
  const std::string bytes = *ReadFile(fs, path);
  const google::protobuf::LogSilencer quiet;  // it prints names that are no UTF-8
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    fs.Put(path, bytes.substr(0, cut));
    EXPECT_TRUE(Says(ReadSavedModel(fs, "m").status(), "read m/saved_model.pb: ")) << cut;
  }
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    fs.Put(path, flipped);
    ReadSavedModel(fs, "m").status().IgnoreError();  // no checksum: it may say something else
  }
  fs.Put(path, "\x08\x02" + bytes.substr(2));
  EXPECT_TRUE(Says(ReadSavedModel(fs, "m").status(), "schema version 2, this reader knows 1"));
}

TEST(SavedModelTest, FullDiskLeavesNothing) {
  MemoryFileSystem fs;
  FaultyFileSystem faulty(&fs);
  faulty.FailAfterBytes(10);
  EXPECT_TRUE(Says(WriteSavedModelProto(faulty, "m", SomeMetaGraph()), "m/saved_model.pb"));
  EXPECT_TRUE(fs.Paths().empty());
}

TEST(SavedModelTest, Versions) {
  MemoryFileSystem fs;
  EXPECT_FALSE(ListVersions(fs, "none").ok());
  for (const char* name : {"3", "10", "0000000000000000007", "x1", "-4", "1.5", "1 "}) {
    ASSERT_TRUE(fs.CreateFolder(JoinPath("base", name)).ok());
  }
  fs.Put("base/99", "a file");
  EXPECT_EQ(*ListVersions(fs, "base"), std::vector<int64_t>({3, 7, 10}));
  EXPECT_EQ(*ResolveSavedModel(fs, "base"), "base/10");
  ASSERT_TRUE(fs.CreateFolder("base/0011").ok());
  EXPECT_EQ(*ResolveSavedModel(fs, "base"), "base/0011");
  fs.Put("base/3/saved_model.pb", "");
  EXPECT_EQ(*ResolveSavedModel(fs, "base/3"), "base/3");
  EXPECT_TRUE(Says(ResolveSavedModel(fs, "base/10").status(), "no folder of a version"));
}

TEST(SavedModelTest, ReadsTheModelOf2018) {
  const char* data = std::getenv("CAPSTAN_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "CAPSTAN_TEST_DATA is not set";
  const auto local = NewLocalFileSystem();
  const std::string base = JoinPath(data, "deep_recommend_system/model");
  const auto model = ReadSavedModel(*local, *ResolveSavedModel(*local, base));
  ASSERT_TRUE(model.ok()) << Message(model.status());
  EXPECT_GT((*model)->meta_graphs(0).graph_def().node_size(), 0);
  EXPECT_FALSE((*model)->meta_graphs(0).signature_def().empty());
}

}  // namespace
}  // namespace capstan
