#include "train/session.h"

#include <gtest/gtest.h>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "data/click_generator.h"
#include "formats/bundle_digest.h"
#include "formats/checkpoint_state.h"
#include "formats/saved_model.h"
#include "formats/tensor_bundle_reader.h"
#include "model/model_file.h"

namespace capstan {
namespace {

constexpr char kModel[] = R"(
model: wide_and_deep
features:
  - {name: "I{1..13}", type: float, log1p: true}
  - {name: "C{1..26}", type: id, dim: 4}
deep: {hidden: [16, 8], dropout: 0.1}
wide: {optimizer: ftrl}
)";

class SessionTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    clicks_ = new MemoryFileSystem();
    WorkerPool pool(1);
    ClickGeneratorOptions options;
    options.rows = 3000;
    options.prefix = "clicks/train";
    options.files = 3;
    options.teacher.scale = 0.001;
    const auto generated = GenerateClicks(*clicks_, options, &pool);
    ASSERT_TRUE(generated.ok()) << generated.status();
    paths_ = generated->paths;
  }
  static void TearDownTestSuite() {
    delete clicks_;
    clicks_ = nullptr;
  }

  // The suite's files in a disk of the test's own.
  void SetUp() override {
    for (const std::string& path : paths_) fs_.Put(path, ReadFile(*clicks_, path).value());
  }

  static SessionOptions Options(const std::string& folder) {
    SessionOptions options;
    options.train.paths = paths_;
    options.train.batch_size = 100;
    options.train.epochs = 2;
    options.train.shuffle_block = 700;
    options.train.threads = 1;
    options.validation = options.train;
    options.validation.paths = {paths_[0]};
    options.validation.epochs = 1;
    options.validation.shuffle_block = 0;
    options.steps_to_validate = 20;
    options.checkpoint_path = folder + "/ck";
    options.checkpoint_secs = 0;
    options.output_path = folder + "/events";
    options.model_path = folder + "/export";
    return options;
  }

  StatusOr<SessionResult> Run(const SessionOptions& options, int workers = 2,
                              int64_t stop_after = -1, FileSystem* fs = nullptr,
                              const std::string& model = kModel) {
    WorkerPool pool(workers);
    ManualClock clock;
    log_.clear();
    int64_t steps = 0;
    SessionHooks hooks;
    hooks.log = [this](const std::string& line) { log_ += line + "\n"; };
    hooks.stop_requested = [&] { return ++steps == stop_after; };
    return RunSession(fs == nullptr ? &fs_ : fs, &pool, &clock,
                      ParseModelFile(model, "model.yaml").value(), options, hooks);
  }

  std::string DigestOf(const std::string& folder) {
    const std::string prefix = LatestCheckpoint(fs_, folder + "/ck").value();
    return DigestBundle(*TensorBundleReader::Open(fs_, prefix).value()).value();
  }

  static MemoryFileSystem* clicks_;
  static std::vector<std::string> paths_;
  MemoryFileSystem fs_;
  std::string log_;
};
MemoryFileSystem* SessionTest::clicks_ = nullptr;
std::vector<std::string> SessionTest::paths_;

TEST_F(SessionTest, LeavesCheckpointsEventsAndAnExport) {
  const auto result = Run(Options("a"));
  ASSERT_TRUE(result.ok()) << Message(result.status());
  EXPECT_EQ(result->step, 60);
  EXPECT_EQ(result->examples, 6000);
  EXPECT_FALSE(result->stopped);
  EXPECT_EQ(result->export_path, "a/export/1");
  EXPECT_TRUE(IsSavedModel(fs_, "a/export/1"));
  EXPECT_TRUE(fs_.Exists("a/ck/graph.pbtxt"));
  EXPECT_TRUE(fs_.Exists("a/ck/checkpoint.ckpt-60.meta"));
  EXPECT_EQ(fs_.List("a/events").value().size(), 1u);
  EXPECT_NE(log_.find("Step: 20, loss: "), std::string::npos) << log_;
  EXPECT_NE(log_.find("valid_auc: "), std::string::npos) << log_;
}

TEST_F(SessionTest, SameBitsForAnyNumberOfWorkers) {
  ASSERT_TRUE(Run(Options("one"), 1).ok());
  ASSERT_TRUE(Run(Options("three"), 3).ok());
  SessionOptions inline_input = Options("inline");
  inline_input.train.threads = 0;
  ASSERT_TRUE(Run(inline_input, 2).ok());
  EXPECT_EQ(DigestOf("one"), DigestOf("three"));
  EXPECT_EQ(DigestOf("one"), DigestOf("inline"));
}

TEST_F(SessionTest, StoppedAnywhereItGoesOnAsIfNeverStopped) {
  ASSERT_TRUE(Run(Options("whole")).ok());
  for (const int64_t stop : {1, 7, 29, 30, 31, 59}) {
    const std::string folder = "stop" + std::to_string(stop);
    const auto stopped = Run(Options(folder), 2, stop);
    ASSERT_TRUE(stopped.ok()) << Message(stopped.status());
    EXPECT_TRUE(stopped->stopped);
    EXPECT_EQ(stopped->step, stop);
    EXPECT_FALSE(fs_.Exists(folder + "/export/1/saved_model.pb"));
    ASSERT_TRUE(Run(Options(folder), 1).ok());
    EXPECT_NE(log_.find("Restore session from checkpoint: "), std::string::npos);
    EXPECT_EQ(DigestOf(folder), DigestOf("whole")) << stop;
  }
}

TEST_F(SessionTest, AdmissionAndExpirySurviveAStop) {
  const std::string model = std::string(kModel) +
                            "embedding: {dim: 4, admission_count: 3, expiry_steps: 9}\n"
                            "optimizer: adam\n";
  SessionOptions options = Options("whole");
  ASSERT_TRUE(Run(options, 2, -1, nullptr, model).ok());
  SessionOptions halves = Options("halves");
  ASSERT_TRUE(Run(halves, 2, 33, nullptr, model).ok());
  ASSERT_TRUE(Run(halves, 2, -1, nullptr, model).ok());
  EXPECT_EQ(DigestOf("halves"), DigestOf("whole"));
}

TEST_F(SessionTest, FromScratchForgetsTheOldRunAtItsFirstCheckpoint) {
  SessionOptions options = Options("a");
  ASSERT_TRUE(Run(options).ok());
  options.from_scratch = true;
  options.max_steps = 5;
  ASSERT_TRUE(Run(options).ok());
  EXPECT_EQ(ReadCheckpointState(fs_, "a/ck").value().all,
            (std::vector<std::string>{"checkpoint.ckpt-5"}));
  EXPECT_TRUE(IsSavedModel(fs_, "a/export/2"));
}

TEST_F(SessionTest, ALossThatIsNoNumberStopsAndNamesStepAndBatch) {
  std::string model = kModel;
  model += "optimizer: {name: sgd, learning_rate: 1e30}\n";
  const auto result = Run(Options("a"), 2, -1, nullptr, model);
  ASSERT_FALSE(result.ok());
  EXPECT_NE(Message(result.status()).find("train step "), std::string::npos);
  EXPECT_NE(Message(result.status()).find("the loss is "), std::string::npos);
  EXPECT_FALSE(fs_.IsFolder("a/export/1"));
}

TEST_F(SessionTest, AFullDiskInACheckpointLeavesTheOneBefore) {
  SessionOptions options = Options("a");
  options.checkpoint_steps = 10;
  options.max_steps = 10;
  options.validation.paths.clear();
  options.model_path.clear();
  ASSERT_TRUE(Run(options).ok());
  const std::string before = DigestOf("a");
  options.max_steps = 30;
  for (const int64_t budget : {0, 1000, 100000}) {
    FaultyFileSystem faulty(&fs_);
    faulty.FailAfterBytes(budget);
    options.output_path.clear();
    const auto result = Run(options, 2, -1, &faulty);
    ASSERT_FALSE(result.ok());
    EXPECT_NE(Message(result.status()).find("No space left on device"), std::string::npos);
    EXPECT_EQ(DigestOf("a"), before);
    const std::vector<std::string> names = fs_.List("a/ck").value();
    for (const std::string& name : names) {
      EXPECT_EQ(name.find("ckpt-20"), std::string::npos) << name;
      EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
    }
  }
  ASSERT_TRUE(Run(options).ok());
  EXPECT_NE(DigestOf("a"), before);
}

TEST_F(SessionTest, AnotherModelIsRefusedByName) {
  SessionOptions options = Options("a");
  options.max_steps = 5;
  ASSERT_TRUE(Run(options).ok());
  std::string wider = kModel;
  wider.replace(wider.find("[16, 8]"), 7, "[32, 8]");
  const auto result = Run(options, 2, -1, nullptr, wider);
  EXPECT_NE(Message(result.status())
                .find("tensor deep/layer_0/weights is float32 [117,16], wanted "
                      "float32 [117,32]"),
            std::string::npos)
      << Message(result.status());
}

}  // namespace
}  // namespace capstan
