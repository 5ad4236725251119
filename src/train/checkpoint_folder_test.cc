#include "train/checkpoint_folder.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "formats/checkpoint_state.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

class CheckpointFolderTest : public testing::Test {
 protected:
  CheckpointFolder Open(int keep) {
    return CheckpointFolder::Open(&fs_, "ck", "checkpoint.ckpt", keep).value();
  }
  // A checkpoint's files, then Commit.
  void Save(CheckpointFolder* folder, int64_t step, bool best = false) {
    auto writer = TensorBundleWriter::Create(fs_, folder->PrefixOf(step)).value();
    ASSERT_TRUE(writer->AddInts("global_step", {}, std::vector<int64_t>{step}).ok());
    ASSERT_TRUE(writer->Finish().ok());
    ASSERT_TRUE(WriteFileAtomically(fs_, folder->PrefixOf(step) + ".meta", "m").ok());
    ASSERT_TRUE(folder->Commit(step, best).ok());
  }
  std::vector<std::string> Kept() { return ReadCheckpointState(fs_, "ck").value().all; }

  MemoryFileSystem fs_;
};

TEST_F(CheckpointFolderTest, KeepsTheNewestAndTheBest) {
  CheckpointFolder folder = Open(2);
  EXPECT_EQ(folder.Newest().value(), "");
  Save(&folder, 1);
  Save(&folder, 2, true);
  Save(&folder, 3);
  Save(&folder, 4);
  Save(&folder, 5);
  EXPECT_EQ(Kept(), (std::vector<std::string>{"checkpoint.ckpt-2", "checkpoint.ckpt-4",
                                              "checkpoint.ckpt-5"}));
  EXPECT_EQ(folder.Newest().value(), "ck/checkpoint.ckpt-5");
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-1.index"));
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-3.meta"));
  EXPECT_TRUE(fs_.Exists("ck/checkpoint.ckpt-2.index"));
  EXPECT_EQ(ReadFile(fs_, "ck/best_checkpoint").value(), "checkpoint.ckpt-2\n");
  Save(&folder, 6, true);
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-2.index"));
}

TEST_F(CheckpointFolderTest, AStepMayComeAgain) {
  CheckpointFolder folder = Open(3);
  Save(&folder, 1);
  Save(&folder, 1);
  EXPECT_EQ(Kept().size(), 1u);
  EXPECT_TRUE(fs_.Exists("ck/checkpoint.ckpt-1.index"));
}

TEST_F(CheckpointFolderTest, StartingOverKeepsTheOldUntilTheFirstCommit) {
  CheckpointFolder first = Open(3);
  Save(&first, 100, true);
  Save(&first, 200);
  CheckpointFolder second = Open(3);
  second.StartOver();
  EXPECT_TRUE(fs_.Exists("ck/checkpoint.ckpt-200.index"));
  Save(&second, 10);
  EXPECT_EQ(Kept(), (std::vector<std::string>{"checkpoint.ckpt-10"}));
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-100.index"));
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-200.index"));
  Save(&second, 20);
  EXPECT_EQ(Kept().size(), 2u);
}

TEST_F(CheckpointFolderTest, KilledBeforeItWasSaid) {
  CheckpointFolder folder = Open(2);
  Save(&folder, 1);
  auto writer = TensorBundleWriter::Create(fs_, folder.PrefixOf(2)).value();
  ASSERT_TRUE(writer->Finish().ok());
  CheckpointFolder again = Open(2);
  EXPECT_EQ(again.Newest().value(), "ck/checkpoint.ckpt-1");
  Save(&again, 3);
  EXPECT_EQ(Kept(), (std::vector<std::string>{"checkpoint.ckpt-2", "checkpoint.ckpt-3"}));
  Save(&again, 4);
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-2.index"));
}

TEST_F(CheckpointFolderTest, KilledWhileTheNewestWasReplaced) {
  CheckpointFolder folder = Open(2);
  Save(&folder, 1);
  Save(&folder, 2);
  ASSERT_TRUE(fs_.Remove("ck/checkpoint.ckpt-2.index").ok());
  EXPECT_EQ(Open(2).Newest().value(), "ck/checkpoint.ckpt-1");
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-2.meta"));
}

TEST_F(CheckpointFolderTest, LeftoversOfKilledWritersGo) {
  ASSERT_TRUE(fs_.CreateFolder("ck").ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, "ck/checkpoint.ckpt-7.data-00000-of-00001.tmp1", "x").ok());
  ASSERT_TRUE(WriteFileAtomically(fs_, "ck/notes.tmp", "mine").ok());
  Open(2);
  EXPECT_FALSE(fs_.Exists("ck/checkpoint.ckpt-7.data-00000-of-00001.tmp1"));
  EXPECT_TRUE(fs_.Exists("ck/notes.tmp"));
}

}  // namespace
}  // namespace capstan
