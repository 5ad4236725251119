#include "cli/inspect.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/memory_file_system.h"
#include "formats/checkpoint_state.h"
#include "formats/event_file.h"
#include "formats/example_builder.h"
#include "formats/saved_model.h"
#include "formats/says.h"
#include "formats/tensor_bundle_writer.h"
#include "formats/tfrecord_writer.h"
#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

class InspectTest : public ::testing::Test {
 protected:
  std::string Text(const std::string& path, const InspectOptions& options = {}) {
    const auto text = Inspect(fs_, path, options);
    EXPECT_TRUE(text.ok()) << Message(text.status());
    return text.ok() ? *text : "";
  }
  nlohmann::json JsonOf(const std::string& path, InspectOptions options = {}) {
    options.json = true;
    return nlohmann::json::parse(Text(path, options));
  }
  void WriteBundle(const std::string& prefix) {
    ASSERT_TRUE(fs_.CreateFolder(FolderOf(prefix)).ok());
    const auto writer = TensorBundleWriter::Create(fs_, prefix);
    const std::vector<float> values = {1, 2.5, -3, 4, 5, 6};
    const std::vector<std::string> words = {"a", "\xff"};
    ASSERT_TRUE((*writer)->AddFloats("w", {2, 3}, values).ok());
    ASSERT_TRUE((*writer)->AddStrings("words", {2}, words).ok());
    ASSERT_TRUE((*writer)->Add("half", DType::kHalf, {2}, std::string("\x00\x3c\x00\xc2", 4)).ok());
    ASSERT_TRUE((*writer)->Finish().ok());
  }

  MemoryFileSystem fs_;
};

TEST_F(InspectTest, Records) {
  const auto writer = TfRecordWriter::Create(fs_, "r.tfrecord", Compression::kGzip);
  ExampleBuilder builder;
  for (const int64_t label : {0, 1, 1, 1}) {
    const std::vector<float> features = {0.5f, static_cast<float>(label)};
    const std::vector<std::string_view> words = {"w\n"};
    builder.AddFloats("features", features);
    builder.AddInts("label", std::span(&label, 1));
    builder.AddBytes("words", words);
    ASSERT_TRUE((*writer)->Write(builder.Finish()).ok());
  }
  ASSERT_TRUE((*writer)->Write("\xff no example").ok());
  ASSERT_TRUE((*writer)->Close().ok());
  EXPECT_EQ(Text("r.tfrecord", {.examples = 1}),
            "TFRecord r.tfrecord: 5 records, 256 bytes (12 to 61 each), gzip\n"
            "  1 of them are no tf.Example\n"
            "  feature   kind   records  values  min  max  mean\n"
            "  features  float  4        2       0    1    0.625\n"
            "  label     int64  4        1       0    1    0.75\n"
            "  words     bytes  4        1       2    2    2\n"
            "  (min, max, mean of bytes are lengths)\n"
            "example 1:\n"
            "  features  0.5 0\n"
            "  label     0\n"
            "  words     w\\x0a\n");
  const auto json = JsonOf("r.tfrecord");
  EXPECT_EQ(json["kind"], "TFRecord");
  EXPECT_EQ(json["records"], 5);
  EXPECT_EQ(json["features"][1]["mean"], 0.75);
  EXPECT_EQ(json["examples"].size(), 3u);
  EXPECT_EQ(json["examples"][0]["words"][0], "w\n");
  fs_.Put("r.tfrecord", ReadFile(fs_, "r.tfrecord")->substr(0, 60));
  EXPECT_TRUE(Says(Inspect(fs_, "r.tfrecord", {}).status(), "r.tfrecord at byte 60"));
}

TEST_F(InspectTest, Checkpoint) {
  WriteBundle("ck/m-1");
  EXPECT_EQ(Text("ck/m-1", {.values = "w,half,words", .max_values = 5}),
            "checkpoint ck/m-1: 3 tensors, 36 bytes in 1 data file\n"
            "  tensor  dtype    shape  bytes\n"
            "  half    float16  [2]    4\n"
            "  w       float32  [2,3]  24\n"
            "  words   string   [2]    8\n"
            "w float32 [2,3]:\n"
            "  1 2.5 -3\n"
            "  4 5\n"
            "  … (6 values; --max_values shows more)\n"
            "half float16 [2]:\n"
            "  1 -3\n"
            "words string [2]:\n"
            "  a \\\\xff\n");
  const auto json = JsonOf("ck/m-1.index", {.values = "w"});
  EXPECT_EQ(json["tensors"][1]["shape"], nlohmann::json({2, 3}));
  EXPECT_EQ(json["values"][0]["values"], nlohmann::json({1.0, 2.5, -3.0, 4.0, 5.0, 6.0}));
  EXPECT_TRUE(
      Says(Inspect(fs_, "ck/m-1", {.values = "none"}).status(), "tensor none is not in ck/m-1"));
  ASSERT_TRUE(WriteCheckpointState(fs_, "ck", {.newest = "m-1", .all = {"m-0"}}).ok());
  const std::string folder = Text("ck");
  EXPECT_TRUE(
      folder.starts_with("folder of checkpoints ck: 2 checkpoints\n"
                         "  m-0 (its files are gone)\n"
                         "  m-1\n"
                         "the newest, m-1: 3 tensors"))
      << folder;
  EXPECT_EQ(Text("ck", {.digest = true}), Text("ck/m-1", {.digest = true}));
  EXPECT_EQ(Text("ck", {.digest = true}).size(), 33u);
}

TEST_F(InspectTest, SavedModel) {
  tensorflow::MetaGraphDef meta_graph;
  meta_graph.mutable_meta_info_def()->add_tags("serve");
  auto& signature = (*meta_graph.mutable_signature_def())["serving_default"];
  signature.set_method_name("tensorflow/serving/predict");
  auto& input = (*signature.mutable_inputs())["x"];
  input.set_name("x:0");
  input.set_dtype(tensorflow::DT_FLOAT);
  input.mutable_tensor_shape()->add_dim()->set_size(-1);
  for (const char* name : {"x", "y"}) {
    auto* node = meta_graph.mutable_graph_def()->add_node();
    node->set_name(name);
    node->set_op("Placeholder");
  }
  ASSERT_TRUE(WriteSavedModelProto(fs_, "export/1", meta_graph).ok());
  fs_.Put("export/1/assets.extra/capstan_model.yaml", "model: lr");
  const std::string without = Text("export", {.digest = true});
  WriteBundle("export/1/variables/variables");
  EXPECT_EQ(Text("export"),
            "SavedModel export/1: graph with tags: serve\n"
            "signature serving_default (tensorflow/serving/predict)\n"
            "  input  x  float32  [-1]  x:0\n"
            "ops: 2 nodes of 1 kinds: Placeholder ×2\n"
            "file assets.extra/capstan_model.yaml\n"
            "variables: 3 tensors, 36 bytes in 1 data file\n"
            "  tensor  dtype    shape  bytes\n"
            "  half    float16  [2]    4\n"
            "  w       float32  [2,3]  24\n"
            "  words   string   [2]    8\n");
  const auto json = JsonOf("export/1");
  EXPECT_EQ(json["graphs"][0]["signatures"][0]["inputs"][0]["shape"], nlohmann::json({-1}));
  EXPECT_NE(Text("export", {.digest = true}), without);
}

TEST_F(InspectTest, Events) {
  const auto writer = EventFileWriter::Create(fs_, "logs", 1525910400, "host", "");
  ASSERT_TRUE((*writer)->WriteScalars(1525910401, 100, {{"loss", 0.5f}, {"auc", 0.75f}}).ok());
  ASSERT_TRUE((*writer)->WriteScalars(1525910402, 200, {{"loss", 0.25f}}).ok());
  ASSERT_TRUE((*writer)->WriteHistogram(1525910402, 200, "w", {1.0f}).ok());
  ASSERT_TRUE((*writer)->Close().ok());
  EXPECT_EQ(Text("logs"),
            "event file logs/events.out.tfevents.1525910400.host: 4 events, brain.Event:2, from "
            "2018-05-10 00:00:00 UTC to 2018-05-10 00:00:02 UTC\n"
            "  scalar  events  first  at step  last  at step  min   max\n"
            "  auc     1       0.75   100      0.75  100      0.75  0.75\n"
            "  loss    2       0.5    100      0.25  200      0.25  0.5\n"
            "  w: 1 events that are no scalars\n");
  EXPECT_EQ(JsonOf("logs")["scalars"][1]["last_step"], 200);
  EXPECT_EQ(Text("logs", {.digest = true}).size(), 33u);
}

TEST_F(InspectTest, OtherFilesAreErrors) {
  fs_.Put("junk", "junk");
  EXPECT_TRUE(Says(Inspect(fs_, "junk", {}).status(), "inspect junk: no TFRecord, event file"));
  EXPECT_TRUE(Says(Inspect(fs_, "none", {}).status(), "open none: no such file"));
}

TEST(InspectRealFilesTest, OfTheYears2016To2018) {
  const char* data = std::getenv("CAPSTAN_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "CAPSTAN_TEST_DATA is not set";
  const auto fs = NewLocalFileSystem();
  const std::string folder = JoinPath(data, "deep_recommend_system");
  for (const char* name :
       {"model", "minimal_model/model/00000001", "minimal_model/model/00000001/export.meta",
        "data/a8a/a8a_test.libsvm.tfrecords", "2016/data/cancer_test.csv.tfrecords"}) {
    for (const bool json : {false, true}) {
      const auto text = Inspect(*fs, JoinPath(folder, name), {.json = json});
      EXPECT_TRUE(text.ok()) << name << ": " << Message(text.status());
    }
  }
}

}  // namespace
}  // namespace capstan
