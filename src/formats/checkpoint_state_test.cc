#include "formats/checkpoint_state.h"

#include <gtest/gtest.h>

#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/says.h"

namespace capstan {
namespace {

using Names = std::vector<std::string>;

class CheckpointStateTest : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(fs_.CreateFolder("ck").ok()); }
  MemoryFileSystem fs_;
};

TEST_F(CheckpointStateTest, RoundTrip) {
  const CheckpointState state = {.newest = "model.ckpt-300",
                                 .all = {"model.ckpt-100", "model.ckpt-200", "model.ckpt-300"}};
  ASSERT_TRUE(WriteCheckpointState(fs_, "ck", state).ok());
  EXPECT_EQ(*ReadFile(fs_, "ck/checkpoint"),
            "model_checkpoint_path: \"model.ckpt-300\"\n"
            "all_model_checkpoint_paths: \"model.ckpt-100\"\n"
            "all_model_checkpoint_paths: \"model.ckpt-200\"\n"
            "all_model_checkpoint_paths: \"model.ckpt-300\"\n");
  const auto read = ReadCheckpointState(fs_, "ck");
  EXPECT_EQ(read->newest, state.newest);
  EXPECT_EQ(read->all, state.all);
  EXPECT_EQ(*LatestCheckpoint(fs_, "ck"), "ck/model.ckpt-300");
}

TEST_F(CheckpointStateTest, WhatTensorFlowWrites) {
  fs_.Put("ck/checkpoint",
          "model_checkpoint_path: \"/abs/ckpt \\303\\251-2\"\n"
          "all_model_checkpoint_paths: \"ckpt-1\"\n"
          "all_model_checkpoint_timestamps: 1525910400.25\n"
          "last_preserved_timestamp: 1525910399.5\n"
          "some_later_field: 7\n");
  const auto read = ReadCheckpointState(fs_, "ck");
  ASSERT_TRUE(read.ok()) << Message(read.status());
  EXPECT_EQ(read->all, Names({"ckpt-1", "/abs/ckpt \xc3\xa9-2"}));
  EXPECT_EQ(*LatestCheckpoint(fs_, "ck"), "/abs/ckpt \xc3\xa9-2");
}

TEST_F(CheckpointStateTest, DamageIsAnError) {
  EXPECT_EQ(ReadCheckpointState(fs_, "ck").status().code(), absl::StatusCode::kNotFound);
  fs_.Put("ck/checkpoint", "");
  EXPECT_TRUE(
      Says(ReadCheckpointState(fs_, "ck").status(), "ck/checkpoint: it has no model_checkp"));
  fs_.Put("ck/checkpoint", "all_model_checkpoint_paths: \"a\"\nmodel_checkpoint_path: 'b\n");
  EXPECT_TRUE(Says(ReadCheckpointState(fs_, "ck").status(), "read ck/checkpoint line 2: "));
  const std::string good = "model_checkpoint_path: \"m\"\nall_model_checkpoint_paths: \"m\"\n";
  for (size_t bit = 0; bit < 8 * good.size(); ++bit) {
    std::string flipped = good;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    fs_.Put("ck/checkpoint", flipped);
    ReadCheckpointState(fs_, "ck").status().IgnoreError();
    fs_.Put("ck/checkpoint", good.substr(0, bit / 8));
    ReadCheckpointState(fs_, "ck").status().IgnoreError();
  }
}

TEST_F(CheckpointStateTest, FullDiskKeepsTheOldState) {
  ASSERT_TRUE(WriteCheckpointState(fs_, "ck", {.newest = "m-1"}).ok());
  FaultyFileSystem faulty(&fs_);
  faulty.FailAfterBytes(10);
  EXPECT_FALSE(WriteCheckpointState(faulty, "ck", {.newest = "m-2"}).ok());
  EXPECT_EQ(ReadCheckpointState(fs_, "ck")->newest, "m-1");
  EXPECT_EQ(fs_.Paths(), Names({"ck/checkpoint"}));
}

}  // namespace
}  // namespace capstan
