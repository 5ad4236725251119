#include "ps/lease_board.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace capstan {
namespace {

using std::chrono::milliseconds;
using Kind = LeaseBoard::Grant::Kind;
using Slices = std::vector<int32_t>;

constexpr milliseconds kStart{5000};

LeaseBoardOptions Sync(int slices = 4, int backups = 0) {
  LeaseBoardOptions options;
  options.mode = TrainMode::kSync;
  options.slices = slices;
  options.backup_workers = backups;
  return options;
}

LeaseBoardOptions Async(int64_t max_staleness = -1) {
  LeaseBoardOptions options;
  options.batch_size = 10;
  options.max_staleness = max_staleness;
  return options;
}

BlockLease Block(int64_t epoch, int64_t block, int64_t examples) {
  BlockLease lease;
  lease.start.epoch = epoch;
  lease.start.block = block;
  lease.start.offset = 1000 * block;
  lease.id = BlockLeaseId(lease.start);
  lease.examples = examples;
  return lease;
}

void ExpectSlices(const LeaseBoard::Grant& grant, int64_t step, const Slices& slices) {
  ASSERT_EQ(grant.kind, Kind::kSlices);
  EXPECT_EQ(grant.step, step);
  EXPECT_EQ(grant.slices, slices);
}

void FinishStep(LeaseBoard* board, int64_t step, int slices = 4) {
  for (int i = 0; i < slices; ++i) EXPECT_TRUE(board->SliceDone(step, i));
}

TEST(LeaseBoardTest, SlicesComeInOrderAndOneStepAhead) {
  LeaseBoard board(Sync());
  board.StartSync(101);
  EXPECT_EQ(board.finished_step(), 100);
  ExpectSlices(board.Take(0, 3, kStart), 101, {0, 1, 2});
  ExpectSlices(board.Take(1, 3, kStart), 101, {3});
  ExpectSlices(board.Take(2, 9, kStart), 102, {0, 1});
  ExpectSlices(board.Take(3, 9, kStart), 102, {2});
  ExpectSlices(board.Take(4, 9, kStart), 102, {3});
  EXPECT_EQ(board.Take(5, 3, kStart).kind, Kind::kWait);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(board.SliceDone(102, i));
  EXPECT_EQ(board.finished_step(), 100);
  EXPECT_EQ(board.Take(2, 3, kStart).kind, Kind::kWait);
  FinishStep(&board, 101);
  EXPECT_EQ(board.finished_step(), 102);
  for (int worker = 3; worker < 6; ++worker) board.Lost(worker);
  ExpectSlices(board.Take(2, 3, kStart), 103, {0, 1});
}

TEST(LeaseBoardTest, EachGetsItsShareOfAStepAtOnce) {
  LeaseBoard board(Sync(8));
  board.StartSync(1);
  for (int worker = 0; worker < 2; ++worker) board.Meet(worker);
  ExpectSlices(board.Take(1, 8, kStart), 1, {0, 1, 2, 3});
  ExpectSlices(board.Take(0, 8, kStart), 1, {4, 5, 6, 7});
  board.SlicesReported(0, 1, 4, kStart + milliseconds(300));
  for (int i = 4; i < 8; ++i) EXPECT_TRUE(board.SliceDone(1, i));
  board.SlicesReported(1, 1, 4, kStart + milliseconds(100));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(board.SliceDone(1, i));
  // Three times as fast: six and two.
  ExpectSlices(board.Take(0, 8, kStart), 2, {0, 1});
  ExpectSlices(board.Take(1, 8, kStart), 2, {2, 3, 4, 5, 6, 7});
  FinishStep(&board, 2, 8);
  // At most what it asks for; what is left is shared by those who come again.
  ExpectSlices(board.Take(1, 3, kStart), 3, {0, 1, 2});
  for (const int i : {0, 1, 2}) EXPECT_TRUE(board.SliceDone(3, i));
  ExpectSlices(board.Take(1, 8, kStart), 3, {4, 5, 6, 7});
  ExpectSlices(board.Take(0, 8, kStart), 3, {3});
}

TEST(LeaseBoardTest, NoStepAheadWhenNoneIsAllowed) {
  LeaseBoardOptions options = Sync();
  options.steps_ahead = 0;
  LeaseBoard board(options);
  board.StartSync(1);
  ExpectSlices(board.Take(0, 9, kStart), 1, {0, 1, 2, 3});
  EXPECT_EQ(board.Take(1, 9, kStart).kind, Kind::kWait);
  FinishStep(&board, 1);
  ExpectSlices(board.Take(1, 9, kStart), 2, {0, 1});
}

TEST(LeaseBoardTest, WhatAWorkerHoldsIsGivenAgain) {
  LeaseBoard board(Sync());
  board.StartSync(1);
  ExpectSlices(board.Take(0, 2, kStart), 1, {0, 1});
  ExpectSlices(board.Take(0, 2, kStart), 1, {0, 1});
  EXPECT_TRUE(board.SliceDone(1, 0));
  ExpectSlices(board.Take(0, 2, kStart), 1, {1});
  EXPECT_TRUE(board.SliceDone(1, 1));
  ExpectSlices(board.Take(0, 2, kStart), 1, {2, 3});
}

TEST(LeaseBoardTest, TheFirstResultCounts) {
  LeaseBoard board(Sync(4, 1));
  board.StartSync(1);
  ExpectSlices(board.Take(0, 4, kStart), 1, {0, 1, 2, 3});
  EXPECT_TRUE(board.SliceDone(1, 2));
  EXPECT_FALSE(board.SliceDone(1, 2));
  EXPECT_FALSE(board.SliceDone(1, 4));
  EXPECT_FALSE(board.SliceDone(1, -1));
  EXPECT_FALSE(board.SliceDone(7, 0));
  EXPECT_FALSE(board.SliceDone(0, 0));
  for (const int i : {0, 1, 3}) EXPECT_TRUE(board.SliceDone(1, i));
  EXPECT_FALSE(board.SliceDone(1, 3));
  EXPECT_EQ(board.finished_step(), 1);
}

TEST(LeaseBoardTest, BackupsOnlyForLateSlicesAndSoManyAsAllowed) {
  LeaseBoard board(Sync(2, 2));
  board.StartSync(1);
  ExpectSlices(board.Take(0, 1, kStart), 1, {0});
  ExpectSlices(board.Take(1, 1, kStart + milliseconds(600)), 1, {1});
  const milliseconds late = kStart + milliseconds(1000);
  ExpectSlices(board.Take(2, 2, late - milliseconds(1)), 2, {0});
  ExpectSlices(board.Take(6, 2, late - milliseconds(1)), 2, {1});
  // Slice 0 is late, slice 1 is not.
  ExpectSlices(board.Take(3, 2, late), 1, {0});
  ExpectSlices(board.Take(4, 2, late), 1, {0});
  EXPECT_EQ(board.Take(5, 2, late).kind, Kind::kWait);
  // Its own, not itself as a backup.
  ExpectSlices(board.Take(0, 2, late), 1, {0});
  // A worker that waits for step 1 helps with it.
  ExpectSlices(board.Take(2, 2, late + milliseconds(700), 1), 1, {1});
  EXPECT_TRUE(board.SliceDone(1, 0));
  EXPECT_EQ(board.finished_step(), 0);
  EXPECT_TRUE(board.SliceDone(1, 1));
  EXPECT_EQ(board.finished_step(), 1);
}

TEST(LeaseBoardTest, LateSlicesComeBeforeThoseOfTheNextStep) {
  LeaseBoard board(Sync(2, 1));
  board.StartSync(1);
  ExpectSlices(board.Take(0, 1, kStart), 1, {0});
  EXPECT_TRUE(board.SliceDone(1, 0));
  ExpectSlices(board.Take(0, 1, kStart), 1, {1});
  ExpectSlices(board.Take(1, 1, kStart + milliseconds(2000)), 1, {1});
  // No slice of a later step is ever backed up: it waits by nature.
  ExpectSlices(board.Take(2, 2, kStart + milliseconds(2000)), 2, {0});
  ExpectSlices(board.Take(3, 2, kStart + milliseconds(2000)), 2, {1});
  EXPECT_EQ(board.Take(4, 2, kStart + milliseconds(9000)).kind, Kind::kWait);
}

TEST(LeaseBoardTest, LostSlicesAreFreeAgain) {
  LeaseBoard board(Sync(4, 1));
  board.StartSync(1);
  ExpectSlices(board.Take(0, 2, kStart), 1, {0, 1});
  ExpectSlices(board.Take(1, 2, kStart), 1, {2, 3});
  ExpectSlices(board.Take(2, 4, kStart), 2, {0, 1});
  EXPECT_TRUE(board.SliceDone(1, 3));
  board.Lost(1);
  // The worker whose pull waits for step 1.
  ExpectSlices(board.Take(2, 4, kStart, 1), 1, {2});
  // The lost one comes back with its result after all.
  EXPECT_TRUE(board.SliceDone(1, 2));
  EXPECT_FALSE(board.SliceDone(1, 2));
  board.Lost(2);
  EXPECT_TRUE(board.SliceDone(1, 0));
  ExpectSlices(board.Take(3, 4, kStart), 2, {0, 1});
  ExpectSlices(board.Take(6, 4, kStart), 2, {2, 3});
  // A slice that has a backup stays with that one.
  ExpectSlices(board.Take(1, 4, kStart + milliseconds(2000)), 1, {1});
  board.Lost(0);
  EXPECT_EQ(board.Take(4, 4, kStart + milliseconds(2000), 1).kind, Kind::kSlices);
  board.Lost(1);
  board.Lost(4);
  ExpectSlices(board.Take(5, 4, kStart + milliseconds(2000)), 1, {1});
}

TEST(LeaseBoardTest, TheLastStepEndsIt) {
  LeaseBoard board(Sync(2));
  board.StartSync(1);
  ExpectSlices(board.Take(0, 2, kStart), 1, {0, 1});
  ExpectSlices(board.Take(1, 2, kStart), 2, {0});  // has no data for it
  EXPECT_EQ(board.last_step(), -1);
  board.SetLastStep(1);
  EXPECT_FALSE(board.all_done());
  EXPECT_FALSE(board.SliceDone(2, 0));
  EXPECT_EQ(board.Take(1, 2, kStart).kind, Kind::kWait);
  FinishStep(&board, 1, 2);
  EXPECT_TRUE(board.all_done());
  EXPECT_EQ(board.Take(1, 2, kStart).kind, Kind::kDone);
  EXPECT_EQ(board.Take(1, 0, kStart).kind, Kind::kDone);
  board.StartSync(1);
  EXPECT_FALSE(board.all_done());
  EXPECT_EQ(board.Take(1, 0, kStart).kind, Kind::kWait);
  board.SetLastStep(0);
  EXPECT_EQ(board.Take(1, 2, kStart).kind, Kind::kDone);
}

TEST(LeaseBoardTest, BlocksComeInOrder) {
  LeaseBoard board(Async());
  board.StartAsync({Block(0, 3, 25)});
  EXPECT_TRUE(board.Add(Block(0, 4, 10)));
  EXPECT_TRUE(board.Add(Block(1, 0, 10)));
  EXPECT_FALSE(board.Add(Block(1, 0, 10)));
  EXPECT_FALSE(board.Add(Block(0, 2, 10)));
  EXPECT_EQ(board.free_blocks(), 3u);
  LeaseBoard::Grant grant = board.Take(0, 1, kStart);
  ASSERT_EQ(grant.kind, Kind::kBlock);
  EXPECT_EQ(grant.block.id, 3u);
  EXPECT_EQ(grant.block.examples, 25);
  EXPECT_EQ(grant.block.start.offset, 3000);
  EXPECT_EQ(board.Take(1, 1, kStart).block.id, 4u);
  EXPECT_EQ(board.Take(0, 1, kStart).block.id, 3u);  // its own again
  EXPECT_EQ(board.Take(2, 1, kStart).block.id, uint64_t{1} << 32);
  EXPECT_EQ(board.Take(3, 1, kStart).kind, Kind::kWait);
  EXPECT_TRUE(board.BlockDone(4));
  EXPECT_FALSE(board.BlockDone(4));
  EXPECT_TRUE(board.BlockDone(uint64_t{1} << 32));
  board.SetNoMoreBlocks();
  EXPECT_FALSE(board.Add(Block(1, 1, 10)));
  EXPECT_EQ(board.Take(1, 1, kStart).kind, Kind::kWait);
  EXPECT_TRUE(board.BlockDone(3));
  EXPECT_TRUE(board.all_done());
  EXPECT_EQ(board.Take(1, 1, kStart).kind, Kind::kDone);
}

TEST(LeaseBoardTest, ALostBlockComesBackBehindItsProgress) {
  LeaseBoard board(Async());
  board.StartAsync({});
  board.Add(Block(0, 0, 45));
  board.Add(Block(0, 1, 45));
  EXPECT_EQ(board.Take(0, 1, kStart).block.id, 0u);
  EXPECT_EQ(board.Take(1, 1, kStart).block.id, 1u);
  EXPECT_FALSE(board.BatchDone(0, 0, -1, kStart));
  EXPECT_TRUE(board.BatchDone(0, 0, 0, kStart));
  EXPECT_FALSE(board.BatchDone(0, 0, 0, kStart));
  EXPECT_TRUE(board.BatchDone(0, 0, 2, kStart));
  EXPECT_FALSE(board.BatchDone(0, 0, 5, kStart));  // has 5 batches
  EXPECT_FALSE(board.BatchDone(0, 7, 0, kStart));
  board.Lost(0);
  EXPECT_EQ(board.free_blocks(), 1u);
  LeaseBoard::Grant grant = board.Take(2, 1, kStart);
  ASSERT_EQ(grant.kind, Kind::kBlock);
  EXPECT_EQ(grant.block.id, 0u);
  EXPECT_EQ(grant.block.first_index, 3);
  EXPECT_EQ(grant.block.start.example, 30);
  EXPECT_EQ(grant.block.start.batch, 3);
  // The lost one reports a batch more: the new owner goes on behind it.
  EXPECT_TRUE(board.BatchDone(0, 0, 3, kStart));
  EXPECT_EQ(board.Take(2, 1, kStart).block.start.example, 40);
  EXPECT_FALSE(board.BatchDone(2, 0, 3, kStart));
  EXPECT_TRUE(board.BatchDone(2, 0, 4, kStart));
  EXPECT_EQ(board.Take(2, 1, kStart).block.start.example, 45);
  // And who was lost may finish the block.
  EXPECT_TRUE(board.BlockDone(0));
  EXPECT_EQ(board.Take(2, 1, kStart).kind, Kind::kWait);
  board.Lost(1);
  EXPECT_TRUE(board.BlockDone(1));
  EXPECT_EQ(board.free_blocks(), 0u);
}

TEST(LeaseBoardTest, OpenBlocksGoIntoACheckpointAndBack) {
  LeaseBoard board(Async());
  board.StartAsync({});
  for (int i = 0; i < 4; ++i) board.Add(Block(0, i, 100));
  board.Take(0, 1, kStart);
  board.Take(1, 1, kStart);
  board.Take(2, 1, kStart);
  board.BatchDone(1, 1, 6, kStart);
  board.BlockDone(2);
  const std::vector<BlockLease> open = board.OpenBlocks();
  ASSERT_EQ(open.size(), 3u);
  EXPECT_EQ(open[1].id, 1u);
  EXPECT_EQ(open[1].first_index, 7);
  LeaseBoard next(Async());
  next.StartAsync(open);
  EXPECT_EQ(next.free_blocks(), 3u);
  EXPECT_FALSE(next.Add(Block(0, 2, 100)));
  EXPECT_EQ(next.Take(0, 1, kStart).block.start.example, 0);
  EXPECT_EQ(next.Take(1, 1, kStart).block.start.example, 70);
  // A server had less.
  EXPECT_EQ(BehindBatch(open[1], 4, 10).start.example, 50);
  EXPECT_EQ(BehindBatch(open[1], 4, 10).first_index, 5);
}

TEST(LeaseBoardTest, GivesOneBlockBeforeItsTurn) {
  LeaseBoard board(Async(0));
  board.StartAsync({Block(0, 0, 100), Block(0, 1, 100), Block(0, 2, 100)});
  EXPECT_EQ(board.Take(0, 1, kStart).block.id, 0u);
  EXPECT_EQ(board.Take(1, 1, kStart).block.id, 1u);
  EXPECT_TRUE(board.BatchDone(0, 0, 0, kStart));
  EXPECT_EQ(board.Take(0, 1, kStart).kind, Kind::kWait);  // too far ahead
  EXPECT_EQ(board.TakeThis(0, 1, kStart).kind, Kind::kWait);
  EXPECT_EQ(board.TakeThis(0, 99, kStart).kind, Kind::kWait);
  EXPECT_EQ(board.TakeThis(0, 2, kStart).block.id, 2u);
  EXPECT_EQ(board.TakeThis(0, 2, kStart).block.id, 2u);
  // What it had is free, with its progress.
  const LeaseBoard::Grant grant = board.Take(2, 1, kStart);
  EXPECT_EQ(grant.block.id, 0u);
  EXPECT_EQ(grant.block.first_index, 1);
}

TEST(LeaseBoardTest, NobodyIsTooFarAheadOfTheSlowest) {
  LeaseBoard board(Async(2));
  board.StartAsync({});
  for (int i = 0; i < 9; ++i) board.Add(Block(0, i, 100));
  const auto may = [&](int worker) { return board.Take(worker, 1, kStart).kind == Kind::kBlock; };
  EXPECT_TRUE(may(0));
  EXPECT_TRUE(may(1));
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(may(0)) << i;
    board.BatchDone(0, 0, i, kStart);
  }
  EXPECT_FALSE(may(0));
  EXPECT_TRUE(may(1));
  board.BatchDone(1, 1, 0, kStart);
  EXPECT_TRUE(may(0));
  board.BatchDone(0, 0, 3, kStart);
  EXPECT_FALSE(may(0));
  // A newcomer begins with the slowest and does not let others wait until it has caught up.
  EXPECT_TRUE(may(2));
  board.BatchDone(1, 1, 1, kStart);
  EXPECT_FALSE(may(0));
  board.BatchDone(2, 2, 0, kStart);
  EXPECT_TRUE(may(0));
  board.BatchDone(0, 0, 4, kStart);
  EXPECT_FALSE(may(0));
  // Who has finished or is lost holds nobody up.
  board.BlockDone(1);
  board.BatchDone(2, 2, 1, kStart);
  EXPECT_TRUE(may(0));
  board.BatchDone(0, 0, 5, kStart);
  EXPECT_FALSE(may(0));
  board.Lost(2);
  EXPECT_TRUE(may(0));
  for (int i = 6; i < 10; ++i) {
    board.BatchDone(0, 0, i, kStart);
    EXPECT_TRUE(may(0));
  }
}

TEST(LeaseBoardTest, LockstepWithoutStaleness) {
  LeaseBoard board(Async(0));
  board.StartAsync({Block(0, 0, 100), Block(0, 1, 100)});
  const auto may = [&](int worker) { return board.Take(worker, 1, kStart).kind == Kind::kBlock; };
  EXPECT_TRUE(may(0));
  EXPECT_TRUE(may(1));
  for (int i = 0; i < 10; ++i) {
    board.BatchDone(0, 0, i, kStart);
    EXPECT_FALSE(may(0));
    EXPECT_TRUE(may(1));
    board.BatchDone(1, 1, i, kStart);
    EXPECT_TRUE(may(0));
  }
}

TEST(LeaseBoardTest, SaysWhoLetsOthersWait) {
  LeaseBoard board(Sync(4, 1));
  board.StartSync(120);
  board.Take(2, 2, kStart);
  board.Take(0, 2, kStart + milliseconds(9000));
  board.Take(1, 4, kStart);
  const milliseconds now = kStart + milliseconds(14'700), old{10'000};
  EXPECT_EQ(board.LateLeases(now, old),
            std::vector<std::string>{"step 120: slices 0, 1 of worker 2 since 14 s"});
  board.SliceDone(120, 1);
  board.Take(3, 4, now);
  EXPECT_EQ(board.LateLeases(now, old),
            std::vector<std::string>{"step 120: slice 0 of worker 2 and worker 3 since 14 s"});
  board.Lost(2);
  board.Lost(3);
  EXPECT_TRUE(board.LateLeases(now, old).empty());
}

TEST(LeaseBoardTest, SaysWhichBatchIsLate) {
  LeaseBoard board(Async());
  board.StartAsync({Block(1, 7, 100), Block(1, 8, 100)});
  board.Take(0, 1, kStart);
  board.Take(1, 1, kStart);
  board.BatchDone(1, Block(1, 8, 0).id, 4, kStart + milliseconds(3000));
  EXPECT_EQ(board.LateLeases(kStart + milliseconds(34'000), milliseconds(31'000)),
            (std::vector<std::string>{"epoch 1, block 7: batch 0 of worker 0 since 34 s",
                                      "epoch 1, block 8: batch 5 of worker 1 since 31 s"}));
}

TEST(LeaseBoardTest, CountsSlices) {
  LeaseBoard board(Sync());
  board.StartSync(7);
  const auto expect = [&board](LeaseBoard::Counts wanted) {
    const auto counts = board.Count(kStart + milliseconds(900), milliseconds(500));
    EXPECT_EQ(counts.free, wanted.free);
    EXPECT_EQ(counts.granted, wanted.granted);
    EXPECT_EQ(counts.late, wanted.late);
    EXPECT_EQ(counts.done, wanted.done);
  };
  expect({.free = 4});
  board.Take(0, 1, kStart);
  board.Take(1, 2, kStart + milliseconds(800));
  expect({.free = 1, .granted = 3, .late = 1});
  board.SliceDone(7, 0);
  board.SliceDone(7, 0);
  expect({.free = 1, .granted = 2, .done = 1});
  for (int i = 1; i < 4; ++i) board.SliceDone(7, i);
  expect({.free = 4, .done = 4});
  board.SetLastStep(7);
  expect({.done = 4});
}

TEST(LeaseBoardTest, CountsBlocks) {
  LeaseBoard board(Async());
  board.StartAsync({Block(0, 1, 20), Block(0, 2, 20), Block(0, 3, 20)});
  board.Take(0, 1, kStart);
  board.Take(1, 1, kStart);
  board.BatchDone(1, Block(0, 2, 0).id, 0, kStart + milliseconds(800));
  board.BlockDone(Block(0, 3, 0).id);
  const auto counts = board.Count(kStart + milliseconds(900), milliseconds(500));
  EXPECT_EQ(counts.free, 0);
  EXPECT_EQ(counts.granted, 2);
  EXPECT_EQ(counts.late, 1);
  EXPECT_EQ(counts.done, 1);
}

}  // namespace
}  // namespace capstan
