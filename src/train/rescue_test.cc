#include "train/rescue.h"

#include <gtest/gtest.h>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/says.h"
#include "formats/tensor_bundle_reader.h"
#include "params/local_parameters.h"
#include "train/checkpoint_folder.h"

namespace capstan {
namespace {

constexpr uint64_t kJob = 0xdeadbeefcafe1234;

class RescueTest : public testing::Test {
 protected:
  RescueTest() {
    LayOutDense(&dense_);
    parameters_ = LocalParameters::Create({}, dense_, 1, &pool_).value();
  }
  Status Write(const RescueState& state) {
    const auto snapshot = parameters_->Cut(1 << 20);
    RETURN_IF_ERROR(snapshot.status());
    return WriteRescue(disk_, "ck", state, {}, dense_, snapshot->get());
  }
  static RescueState Part(int64_t step, int index) {
    return {.step = step,
            .index = index,
            .servers = 2,
            .mode = TrainMode::kSync,
            .base_step = 40,
            .job_hash = kJob,
            .model_file = "model: dnn",
            .marks = {{3, 4}}};
  }
  StatusOr<RescueSet> Find(int64_t newer_than, uint64_t job = kJob) {
    return FindRescueSet(disk_, "ck", newer_than, TrainMode::kSync, job);
  }

  MemoryFileSystem memory_;
  FaultyFileSystem disk_{&memory_};
  WorkerPool pool_{1};
  std::vector<DenseSpec> dense_ = {{.variable = "w", .shape = {3}}};
  std::unique_ptr<LocalParameters> parameters_;
};

TEST_F(RescueTest, PartsOfAllServersAreASet) {
  ASSERT_TRUE(memory_.CreateFolder("ck").ok());
  EXPECT_TRUE(absl::IsNotFound(Find(40).status()));
  ASSERT_TRUE(Write(Part(57, 0)).ok());
  EXPECT_EQ(Message(Find(40).status()), "1 of 2 parts of step 57 are here");
  ASSERT_TRUE(Write(Part(56, 1)).ok());
  EXPECT_EQ(Message(Find(40).status()),
            "1 of 2 parts of step 57, 1 of 2 parts of step 56 are here");
  ASSERT_TRUE(Write(Part(57, 1)).ok());  // takes the place of the other
  const RescueSet set = Find(40).value();
  EXPECT_EQ(set.step, 57);
  EXPECT_EQ(set.parts,
            (std::vector<std::string>{"ck/rescue-57.ps-0-of-2", "ck/rescue-57.ps-1-of-2"}));
  EXPECT_EQ(TensorBundleReader::Open(memory_, set.parts[1]).value()->ReadFloats("w")->size(), 3u);
  const RescueState state = ReadRescueState(memory_, set.parts[1]).value();
  EXPECT_EQ(state.index, 1);
  EXPECT_EQ(state.base_step, 40);
  EXPECT_EQ(state.job_hash, kJob);
  EXPECT_EQ(state.model_file, "model: dnn");
  EXPECT_EQ(memory_.Paths().size(), 8u);

  EXPECT_TRUE(absl::IsNotFound(Find(57).status()));
  EXPECT_TRUE(Says(Find(39).status(), "went on from a checkpoint of step 40, which is not here"));
  EXPECT_TRUE(Says(Find(40, 7).status(), "is of another training"));
  EXPECT_TRUE(Says(FindRescueSet(disk_, "ck", 40, TrainMode::kAsync, kJob).status(),
                   "asynchronous training"));
  RemoveRescueStates(memory_, set);
  EXPECT_EQ(memory_.Paths().size(), 4u);
}

// A folder of checkpoints leaves them alone, and does not take them for one.
TEST_F(RescueTest, TheyAreNoCheckpoint) {
  ASSERT_TRUE(Write(Part(57, 0)).ok());
  const std::vector<std::string> paths = memory_.Paths();
  const auto folder = CheckpointFolder::Open(&memory_, "ck", "model.ckpt", 3);
  EXPECT_EQ(*folder->Newest(), "");
  EXPECT_EQ(memory_.Paths(), paths);
}

TEST_F(RescueTest, AFullDisk) {
  ASSERT_TRUE(Write(Part(50, 0)).ok());
  const std::vector<std::string> paths = memory_.Paths();
  int64_t budget = 0;
  Status status;
  for (;; budget += 7) {
    disk_.FailAfterBytes(budget);
    status = Write(Part(57, 0));
    if (status.ok()) break;
    EXPECT_TRUE(Says(status, "ck/rescue-57.ps-0-of-2")) << budget;
    EXPECT_EQ(memory_.Paths(), paths) << budget;
  }
  EXPECT_GT(budget, 100);
  EXPECT_EQ(memory_.Paths().size(), 4u);
}

TEST_F(RescueTest, Damage) {
  ASSERT_TRUE(Write(Part(57, 0)).ok());
  ASSERT_TRUE(Write(Part(57, 1)).ok());
  for (const std::string& path : memory_.Paths()) {
    const std::string good = *ReadFile(memory_, path);
    memory_.Put(path, good.substr(0, good.size() / 2));
    EXPECT_FALSE(Find(40).ok()) << path;
    memory_.Put(path, good);
  }
  EXPECT_TRUE(Find(40).ok());
}

}  // namespace
}  // namespace capstan
