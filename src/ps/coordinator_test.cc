#include "ps/coordinator.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "formats/says.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;
using Kind = LeaseBoard::Grant::Kind;

constexpr RunId kRun{7, 1}, kNextRun{7, 2};
constexpr milliseconds kNow{1000};

CoordinatorOptions Options(TrainMode mode, int workers = 3) {
  CoordinatorOptions options;
  options.workers = workers;
  options.leases.mode = mode;
  options.leases.slices = 2;
  options.leases.batch_size = 10;
  return options;
}

LeaseRequest Request(int worker, uint64_t incarnation = 1) {
  LeaseRequest request;
  request.run = kRun;
  request.worker = worker;
  request.incarnation = incarnation;
  request.max_slices = 2;
  return request;
}

InputPosition At(int64_t record) {
  InputPosition position;
  position.record = record;
  return position;
}

BlockLease Block(int64_t number, int64_t examples) {
  BlockLease lease;
  lease.start.block = number;
  lease.id = BlockLeaseId(lease.start);
  lease.examples = examples;
  return lease;
}

LeaseRequest StepReport(int worker, int64_t step, std::vector<int> slices = {0, 1}) {
  LeaseRequest request = Request(worker);
  for (const int slice : slices) {
    request.slices.push_back(
        {.step = step, .slice = slice, .loss_sum = 0.5, .weight_sum = 5, .examples = 5});
  }
  request.positions = {{step, At(10 * step)}};
  return request;
}

LeaseRequest BatchReport(int worker, uint64_t block, int64_t index, int64_t examples = 10) {
  LeaseRequest request = Request(worker);
  request.block = block;
  request.block_index = index;
  request.examples = examples;
  request.pushes = 1;
  request.staleness_sum = request.staleness_max = 3;
  return request;
}

TEST(CoordinatorTest, WorkersWaitForAGeneration) {
  Coordinator coordinator(Options(TrainMode::kSync));
  LeaseRequest request = Request(0);
  request.run = RunId();
  LeaseAnswer answer = *coordinator.Lease(request, kNow);
  EXPECT_EQ(answer.kind, Kind::kWait);
  EXPECT_EQ(answer.run, RunId());
  coordinator.Begin(kRun, 100, At(1000), {});
  answer = *coordinator.Lease(request, kNow);
  EXPECT_EQ(answer.kind, Kind::kWait);
  EXPECT_EQ(answer.run, kRun);
  EXPECT_EQ(answer.start_step, 100);
  EXPECT_EQ(answer.start.record, 1000);
  answer = *coordinator.Lease(Request(0), kNow);
  ASSERT_EQ(answer.kind, Kind::kSlices);
  EXPECT_EQ(answer.step, 101);
  EXPECT_EQ(answer.slices, (std::vector<int32_t>{0, 1}));

  // Servers are gone: whoever asks keeps its run and waits.
  coordinator.Suspend();
  answer = *coordinator.Lease(StepReport(0, 101), kNow);
  EXPECT_EQ(answer.kind, Kind::kWait);
  EXPECT_EQ(answer.run, kRun);
  EXPECT_FALSE(coordinator.all_done());
  // Back to the cut: what was done since counts for nothing.
  coordinator.Begin(kNextRun, 90, At(900), {});
  answer = *coordinator.Lease(StepReport(0, 101), kNow);
  EXPECT_EQ(answer.run, kNextRun);
  EXPECT_EQ(answer.start_step, 90);
  EXPECT_EQ(coordinator.finished_step(), 90);
  EXPECT_EQ(coordinator.TakeProgress(kNow).examples, 0);
}

TEST(CoordinatorTest, StrangersAndReportsThatCannotBe) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 0, {}, {});
  for (const int stranger : {3, -1}) {
    const Status status = coordinator.Lease(Request(stranger), kNow).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(Says(
        status, fmt::format("worker {} asks for work: this job has workers 0 to 2", stranger)));
  }
  EXPECT_TRUE(Says(coordinator.Lease(StepReport(1, 3), kNow).status(),
                   "worker 1 reports 5 examples of slice 0 of step 3: steps go up to 2, slices to "
                   "1"));
  EXPECT_TRUE(Says(coordinator.Lease(StepReport(1, 1, {2}), kNow).status(), "slice 2 of step 1"));
  EXPECT_TRUE(Says(coordinator.Lease(StepReport(1, 1, {-1}), kNow).status(), "slice -1"));
  EXPECT_TRUE(Says(coordinator.Lease(BatchReport(1, 0, 0), kNow).status(),
                   "worker 1 reports batches of a block, but training is synchronous"));
  Coordinator async(Options(TrainMode::kAsync));
  async.Begin(kRun, 0, {}, {});
  EXPECT_TRUE(Says(async.Lease(StepReport(1, 1), kNow).status(),
                   "worker 1 reports steps, but training is asynchronous"));
  EXPECT_TRUE(Says(async.Lease(BatchReport(1, 0, 0, -5), kNow).status(), "-5 examples"));
}

TEST(CoordinatorTest, StepsAreCountedOnce) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 0, At(0), {});
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->step, 1);
  // The answer was lost: the same again.
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->step, 1);
  LeaseAnswer answer = *coordinator.Lease(StepReport(0, 1), kNow);
  EXPECT_EQ(answer.global_step, 1);
  EXPECT_EQ(answer.step, 2);
  answer = *coordinator.Lease(StepReport(0, 1), kNow);
  EXPECT_EQ(answer.step, 2);
  Coordinator::Progress progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.examples, 10);
  EXPECT_EQ(progress.repeated, 2);
  EXPECT_EQ(progress.loss_sum, 1);
  EXPECT_EQ(progress.weight_sum, 10);
  EXPECT_EQ(progress.global_step, 1);
  EXPECT_EQ(progress.workers[0].examples, 10);
  EXPECT_TRUE(progress.workers[0].seen);
  EXPECT_FALSE(progress.workers[1].seen);
  progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.examples, 10);
  EXPECT_EQ(progress.loss_sum, 0);
}

TEST(CoordinatorTest, SharesFollowWhatReportsTakeTime) {
  CoordinatorOptions options = Options(TrainMode::kSync);
  options.leases.slices = 8;
  Coordinator coordinator(options);
  coordinator.Begin(kRun, 0, At(0), {});
  const auto ask = [&](LeaseRequest request, int ms) {
    request.max_slices = 8;
    return coordinator.Lease(request, kNow + milliseconds(ms))->slices;
  };
  LeaseRequest hello = Request(1);
  hello.run = RunId();
  ask(hello, 0);
  const auto first = ask(Request(0), 0), second = ask(Request(1), 0);
  EXPECT_EQ(first, (std::vector<int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(second, (std::vector<int32_t>{4, 5, 6, 7}));
  EXPECT_EQ(ask(StepReport(0, 1, {0, 1, 2, 3}), 100), (std::vector<int32_t>{0, 1, 2, 3}));
  // Now both are known; a report that comes twice is no news.
  EXPECT_EQ(ask(StepReport(1, 1, {4, 5, 6, 7}), 300), (std::vector<int32_t>{4, 5}));
  EXPECT_EQ(ask(StepReport(1, 1, {4, 5, 6, 7}), 301), (std::vector<int32_t>{4, 5}));
  // Who comes again in the same step gets its share of what is left.
  EXPECT_EQ(ask(StepReport(0, 2, {0, 1, 2, 3}), 400), std::vector<int32_t>{6});
  EXPECT_EQ(ask(StepReport(1, 2, {4, 5}), 500), std::vector<int32_t>{7});
  EXPECT_EQ(ask(StepReport(0, 2, {6}), 500), (std::vector<int32_t>{0, 1, 2, 3, 4, 5}));
}

TEST(CoordinatorTest, PositionsOfTheLastSteps) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 40, At(400), {});
  EXPECT_EQ(coordinator.PositionAfter(40)->record, 400);
  EXPECT_EQ(*coordinator.ExamplesAfter(40), 0);
  EXPECT_TRUE(Says(coordinator.PositionAfter(41).status(), "behind step 41 is not known"));
  for (int64_t step = 41; step <= 70; ++step) {
    ASSERT_EQ(coordinator.Lease(Request(0), kNow)->step, step);
    ASSERT_TRUE(coordinator.Lease(StepReport(0, step), kNow).ok());
    EXPECT_EQ(coordinator.PositionAfter(step)->record, 10 * step);
    EXPECT_EQ(*coordinator.ExamplesAfter(step), 10 * (step - 40));
  }
  EXPECT_TRUE(coordinator.PositionAfter(55).ok());
  EXPECT_FALSE(coordinator.PositionAfter(53).ok());
  EXPECT_FALSE(coordinator.ExamplesAfter(71).ok());
  EXPECT_EQ(coordinator.PositionAfter(40)->record, 400);
}

TEST(CoordinatorTest, WorkersWithOtherDataAreRefused) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 0, At(0), {});
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->step, 1);
  ASSERT_TRUE(coordinator.Lease(StepReport(0, 1, {0}), kNow).ok());
  LeaseRequest other = StepReport(1, 1, {1});
  other.positions[0].second.record = 11;
  Status status = coordinator.Lease(other, kNow).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(status,
                   "behind step 1 worker 0 is at epoch 0 block 0 example 0 (file 0 record "
                   "10), worker 1 at epoch 0 block 0 example 0 (file 0 record 11)"));
  EXPECT_EQ(coordinator.finished_step(), 0);
  ASSERT_TRUE(coordinator.Lease(StepReport(0, 1, {1}), kNow).ok());
  LeaseRequest end = Request(0);
  end.last_step = 2;
  ASSERT_TRUE(coordinator.Lease(end, kNow).ok());
  ASSERT_TRUE(coordinator.Lease(end, kNow).ok());
  end.worker = 2;
  end.last_step = 3;
  EXPECT_TRUE(Says(coordinator.Lease(end, kNow).status(),
                   "worker 0 finds 2 steps in them, worker 2 finds 3"));
  coordinator.Begin(kNextRun, 5, At(50), {});
  end.run = kNextRun;
  EXPECT_TRUE(Says(coordinator.Lease(end, kNow).status(),
                   "worker 2 finds 3 steps in them, but step 5 is done already"));
}

TEST(CoordinatorTest, ANewIncarnationEndsTheOldOnesLeases) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 0, {}, {});
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->kind, Kind::kSlices);
  ASSERT_EQ(coordinator.Lease(Request(1), kNow)->step, 2);
  LeaseRequest begin = Request(0, 2);
  begin.run = RunId();
  ASSERT_EQ(coordinator.Lease(begin, kNow)->run, kRun);
  LeaseRequest waits = Request(1);
  waits.up_to_step = 1;
  LeaseAnswer answer = *coordinator.Lease(waits, kNow);
  ASSERT_EQ(answer.kind, Kind::kSlices);
  EXPECT_EQ(answer.step, 1);
  // The old copy wakes up.
  const Status status = coordinator.Lease(StepReport(0, 1), kNow).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(status, "worker 0 has been started again: this older copy of it has to end"));
  EXPECT_EQ(coordinator.finished_step(), 0);
  EXPECT_EQ(coordinator.TakeProgress(kNow).workers[0].restarts, 1);
}

TEST(CoordinatorTest, ALateRequestIsRefused) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  coordinator.Begin(kRun, 0, {}, {Block(0, 30)});
  LeaseRequest request = Request(0);
  request.number = 7;
  ASSERT_TRUE(coordinator.Lease(request, kNow).ok());
  ASSERT_TRUE(coordinator.Lease(request, kNow).ok());
  request.number = 6;
  EXPECT_TRUE(Says(coordinator.Lease(request, kNow).status(),
                   "request 6 of worker 0 comes behind request 7"));
  request.incarnation = 2;
  EXPECT_TRUE(coordinator.Lease(request, kNow).ok());
}

TEST(CoordinatorTest, SilentWorkersAreLostAndMayComeBack) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  coordinator.Begin(kRun, 0, {}, {Block(0, 30)});
  EXPECT_EQ(coordinator.Lease(Request(1), kNow)->block.id, 0u);
  ASSERT_TRUE(coordinator.Lease(BatchReport(1, 0, 0), kNow).ok());
  LeaseRequest heartbeat = Request(0);
  heartbeat.max_slices = 0;
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(5000)).empty());
  EXPECT_EQ(coordinator.Lease(heartbeat, kNow + milliseconds(9000))->kind, Kind::kWait);
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(9999)).empty());
  EXPECT_EQ(coordinator.Tick(kNow + milliseconds(10'000)), std::vector<std::string>{"worker 1"});
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(10'001)).empty());
  EXPECT_TRUE(coordinator.TakeProgress(kNow).workers[1].lost);
  EXPECT_EQ(coordinator.free_blocks(), 1u);
  LeaseAnswer answer = *coordinator.Lease(Request(0), kNow + milliseconds(11'000));
  EXPECT_EQ(answer.block.first_index, 1);
  EXPECT_EQ(answer.block.start.example, 10);
  // Worker 1 had pushed a batch more: it counts, the other's redo does not.
  ASSERT_TRUE(coordinator.Lease(BatchReport(1, 0, 1), kNow + milliseconds(12'000)).ok());
  EXPECT_FALSE(coordinator.TakeProgress(kNow).workers[1].lost);
  ASSERT_TRUE(coordinator.Lease(BatchReport(0, 0, 1), kNow + milliseconds(12'000)).ok());
  LeaseRequest last = BatchReport(0, 0, 2);
  last.block_done = true;
  ASSERT_TRUE(coordinator.Lease(last, kNow + milliseconds(12'000)).ok());
  const Coordinator::Progress progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.examples, 30);
  EXPECT_EQ(progress.repeated, 1);
  EXPECT_EQ(progress.global_step, 3);
  EXPECT_EQ(progress.twice, 0);
  EXPECT_EQ(progress.skipped, 0);
}

TEST(CoordinatorTest, AChiefThatWasStoppedBlamesNobody) {
  Coordinator coordinator(Options(TrainMode::kSync));
  coordinator.Begin(kRun, 0, {}, {});
  ASSERT_TRUE(coordinator.Lease(Request(0), kNow).ok());
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(100)).empty());
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(60'100)).empty());
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(69'000)).empty());
  EXPECT_EQ(coordinator.Tick(kNow + milliseconds(70'000)).size(), 1u);
}

TEST(CoordinatorTest, BlocksAreCountedToTheLastExample) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  BlockLease rest = Block(3, 25);
  rest.start.example = 10;
  rest.first_index = 1;
  coordinator.Begin(kRun, 500, {}, {rest});
  coordinator.AddBlock(Block(4, 20));
  coordinator.AddBlock(Block(4, 20));
  coordinator.AddBlock(Block(5, 10));
  coordinator.SetNoMoreBlocks();
  EXPECT_EQ(coordinator.free_blocks(), 3u);
  LeaseAnswer answer = *coordinator.Lease(Request(0), kNow);
  EXPECT_EQ(answer.block.id, 3u);
  EXPECT_EQ(answer.global_step, 500);
  answer = *coordinator.Lease(BatchReport(0, 3, 1), kNow);
  EXPECT_EQ(answer.block.first_index, 2);
  EXPECT_EQ(answer.global_step, 501);
  int64_t examples = 0;
  ASSERT_EQ(coordinator.OpenBlocks(&examples).size(), 3u);
  EXPECT_EQ(coordinator.OpenBlocks()[0].start.example, 20);
  EXPECT_EQ(examples, 10);
  LeaseRequest done = BatchReport(0, 3, 2, 5);
  done.block_done = true;
  EXPECT_EQ(coordinator.Lease(done, kNow)->block.id, 4u);
  EXPECT_EQ(coordinator.Lease(done, kNow)->block.id, 4u);
  Coordinator::Progress progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.examples, 15);
  EXPECT_EQ(progress.skipped, 0);
  EXPECT_EQ(progress.staleness_sum, 6);
  EXPECT_EQ(progress.staleness_max, 3);
  EXPECT_EQ(progress.pushes, 2);
  // Four bad records.
  done = BatchReport(0, 4, 1, 16);
  done.block_done = true;
  EXPECT_EQ(coordinator.Lease(done, kNow)->block.id, 5u);
  EXPECT_EQ(coordinator.TakeProgress(kNow).skipped, 4);
  // More than there are.
  done = BatchReport(0, 5, 0, 11);
  done.block_done = true;
  EXPECT_EQ(coordinator.Lease(done, kNow)->kind, Kind::kDone);
  progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.twice, 1);
  EXPECT_EQ(progress.skipped, 4);
  EXPECT_TRUE(coordinator.all_done());
}

TEST(CoordinatorTest, EveryWorkerHearsOfTheEnd) {
  CoordinatorOptions options = Options(TrainMode::kSync);
  options.max_steps = 1;
  Coordinator coordinator(options);
  coordinator.Begin(kRun, 0, {}, {});
  ASSERT_TRUE(coordinator.Lease(Request(1), kNow).ok());
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->kind, Kind::kWait);
  EXPECT_FALSE(coordinator.all_told());
  EXPECT_EQ(coordinator.Lease(StepReport(1, 1), kNow)->kind, Kind::kDone);
  EXPECT_TRUE(coordinator.all_done());
  LeaseRequest farewell = Request(1);
  farewell.leaves = true;
  farewell.max_slices = 0;
  EXPECT_EQ(coordinator.Lease(farewell, kNow)->kind, Kind::kDone);
  EXPECT_FALSE(coordinator.all_told());
  // Worker 0 goes without a farewell.
  EXPECT_EQ(coordinator.Lease(Request(0), kNow)->kind, Kind::kDone);
  EXPECT_FALSE(coordinator.all_told());
  coordinator.Tick(kNow + milliseconds(999));
  EXPECT_FALSE(coordinator.all_told());
  coordinator.Tick(kNow + milliseconds(1000));
  EXPECT_TRUE(coordinator.all_told());
  // A late one is told too.
  EXPECT_EQ(coordinator.Lease(Request(2), kNow + milliseconds(1000))->kind, Kind::kDone);
  EXPECT_FALSE(coordinator.all_told());
  coordinator.Tick(kNow + milliseconds(9000));
  EXPECT_TRUE(coordinator.Tick(kNow + milliseconds(12'000)).empty());
  EXPECT_TRUE(coordinator.all_told());
}

TEST(CoordinatorTest, ALostWorkerNeedNotHear) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  coordinator.Begin(kRun, 0, {}, {Block(0, 10)});
  coordinator.SetNoMoreBlocks();
  ASSERT_TRUE(coordinator.Lease(Request(0), kNow).ok());
  LeaseRequest done = BatchReport(1, 0, 0);
  done.block_done = true;
  done.leaves = true;
  ASSERT_TRUE(coordinator.Lease(done, kNow).ok());
  EXPECT_TRUE(coordinator.all_done());
  coordinator.Tick(kNow + milliseconds(5000));
  EXPECT_FALSE(coordinator.all_told());
  coordinator.Tick(kNow + milliseconds(10'000));
  EXPECT_TRUE(coordinator.all_told());
}

// Every batch that is given out counts; none is begun that would be one too many.
TEST(CoordinatorTest, AsyncEndsExactlyAtTheLimit) {
  CoordinatorOptions options = Options(TrainMode::kAsync);
  options.max_steps = 3;
  Coordinator coordinator(options);
  coordinator.Begin(kRun, 0, {}, {Block(0, 100), Block(1, 100), Block(2, 100)});
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->kind, Kind::kBlock);
  ASSERT_EQ(coordinator.Lease(Request(1), kNow)->kind, Kind::kBlock);
  ASSERT_EQ(coordinator.Lease(BatchReport(0, 0, 0), kNow)->kind, Kind::kBlock);
  EXPECT_EQ(coordinator.Lease(Request(2), kNow)->kind, Kind::kWait);
  // Worker 1 comes back without its batch, of which half may be there: that one is done again, by
  // whoever asks, and is the last.
  LeaseRequest begin = Request(1, 2);
  begin.run = RunId();
  ASSERT_TRUE(coordinator.Lease(begin, kNow).ok());
  LeaseAnswer answer = *coordinator.Lease(BatchReport(0, 0, 1), kNow);
  EXPECT_EQ(coordinator.TakeProgress(kNow).global_step, 2);
  ASSERT_EQ(answer.kind, Kind::kBlock);
  EXPECT_EQ(answer.block.id, 1u);
  EXPECT_EQ(coordinator.Lease(Request(2), kNow)->kind, Kind::kWait);
  EXPECT_FALSE(coordinator.all_done());
  EXPECT_EQ(coordinator.Lease(BatchReport(0, 1, 0), kNow)->kind, Kind::kDone);
  EXPECT_TRUE(coordinator.all_done());
  const Coordinator::Progress progress = coordinator.TakeProgress(kNow);
  EXPECT_EQ(progress.global_step, 3);
  EXPECT_EQ(progress.examples, 30);
  // For a run that goes on later.
  const std::vector<BlockLease> open = coordinator.OpenBlocks();
  ASSERT_EQ(open.size(), 3u);
  EXPECT_EQ(open[0].first_index, 2);
  EXPECT_EQ(open[1].first_index, 1);
  EXPECT_EQ(open[2].first_index, 0);
}

TEST(CoordinatorTest, PausedItGetsQuiet) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  coordinator.Begin(kRun, 0, {}, {Block(0, 30), Block(1, 30), Block(2, 10)});
  EXPECT_TRUE(coordinator.quiet());
  ASSERT_EQ(coordinator.Lease(Request(0), kNow)->kind, Kind::kBlock);
  ASSERT_EQ(coordinator.Lease(Request(1), kNow)->kind, Kind::kBlock);
  coordinator.SetPaused(true);
  EXPECT_FALSE(coordinator.quiet());
  EXPECT_EQ(coordinator.Lease(BatchReport(0, 0, 0), kNow)->kind, Kind::kWait);
  EXPECT_FALSE(coordinator.quiet());
  // Worker 1 dies in its batch: somebody has to do it again first.
  LeaseRequest begin = Request(1, 2);
  begin.run = RunId();
  ASSERT_TRUE(coordinator.Lease(begin, kNow).ok());
  EXPECT_FALSE(coordinator.quiet());
  coordinator.SetPaused(false);
  EXPECT_EQ(coordinator.Lease(Request(2), kNow)->block.id, 1u);
  coordinator.SetPaused(true);
  LeaseRequest failed = BatchReport(2, 1, -1, 0);  // has not done it
  ASSERT_TRUE(coordinator.Lease(failed, kNow).ok());
  EXPECT_FALSE(coordinator.quiet());
  ASSERT_TRUE(coordinator.Lease(BatchReport(2, 1, 0), kNow).ok());
  EXPECT_TRUE(coordinator.quiet());
  // Whoever is lost in a block that is done leaves no doubt.
  coordinator.SetPaused(false);
  ASSERT_EQ(coordinator.Lease(Request(1, 2), kNow)->block.id, 2u);
  LeaseRequest done = BatchReport(2, 2, 0);
  done.block_done = true;
  ASSERT_TRUE(coordinator.Lease(done, kNow).ok());
  coordinator.SetPaused(true);
  ASSERT_TRUE(coordinator.Lease(Request(2), kNow).ok());
  begin.incarnation = 3;
  ASSERT_TRUE(coordinator.Lease(begin, kNow).ok());
  EXPECT_TRUE(coordinator.quiet());
}

TEST(CoordinatorTest, WaitsAreShortWhenThingsMove) {
  Coordinator coordinator(Options(TrainMode::kAsync));
  ASSERT_TRUE(coordinator.Lease(Request(1), kNow).ok());
  coordinator.Begin(kRun, 0, {}, {Block(0, 30)});
  ASSERT_TRUE(coordinator.Lease(Request(0), kNow).ok());
  ASSERT_TRUE(coordinator.Lease(BatchReport(0, 0, 0), kNow).ok());
  EXPECT_EQ(coordinator.Lease(Request(1), kNow)->wait_ms, 1);
  EXPECT_EQ(coordinator.Lease(Request(1), kNow + milliseconds(40))->wait_ms, 10);
  EXPECT_EQ(coordinator.Lease(Request(1), kNow + milliseconds(4000))->wait_ms, 50);
}

TEST(CoordinatorTest, LateLeasesAreListed) {
  CoordinatorOptions options = Options(TrainMode::kSync);
  options.worker_timeout = milliseconds(60'000);
  Coordinator coordinator(options);
  coordinator.Begin(kRun, 119, {}, {});
  ASSERT_TRUE(coordinator.Lease(Request(2), kNow).ok());
  EXPECT_TRUE(coordinator.TakeProgress(kNow + milliseconds(9000)).late.empty());
  EXPECT_EQ(coordinator.TakeProgress(kNow + milliseconds(14'000)).late,
            std::vector<std::string>{"step 120: slices 0, 1 of worker 2 since 14 s"});
}

// One worker of the threads below: takes, reports, now and then under a new incarnation.
void Train(Coordinator* coordinator, TrainMode mode, int worker, std::atomic<int64_t>* clock) {
  LeaseRequest request = Request(worker, 1);
  request.run = RunId();
  for (int64_t turn = 1;; ++turn) {
    const auto answer = coordinator->Lease(request, milliseconds(++*clock));
    ASSERT_TRUE(answer.ok()) << answer.status();
    const RunId run = answer->run;
    const int64_t last_step = request.last_step;
    const bool is_new = run != request.run;
    request = Request(worker, 1 + turn / 50);
    request.run = run;
    if (!is_new) request.last_step = last_step;
    if (turn % 50 == 0) request.last_step = -1;
    if (answer->kind == Kind::kDone) return;
    if (answer->kind == Kind::kWait) std::this_thread::yield();
    if (mode == TrainMode::kAsync) request.max_slices = 1;
    if (answer->kind == Kind::kSlices) {
      if (answer->step > 300) {
        request.last_step = 300;
        continue;
      }
      for (const int32_t slice : answer->slices) {
        request.slices.push_back({.step = answer->step, .slice = slice, .examples = 5});
      }
      request.positions = {{answer->step, At(answer->step)}};
    }
    if (answer->kind == Kind::kBlock) {
      request.block = answer->block.id;
      request.block_index = answer->block.first_index;
      request.pushes = 1;
      const InputPosition& start = answer->block.start;
      request.examples = std::min<int64_t>(10, answer->block.examples - start.example);
      request.block_done = start.example + request.examples == answer->block.examples;
    }
  }
}

TEST(CoordinatorTest, ManyThreadsAsWorkers) {
  for (const TrainMode mode : {TrainMode::kSync, TrainMode::kAsync}) {
    Coordinator coordinator(Options(mode, 4));
    std::atomic<int64_t> clock = 1;
    std::vector<std::thread> threads;
    for (int worker = 0; worker < 4; ++worker) {
      threads.emplace_back([&, worker] { Train(&coordinator, mode, worker, &clock); });
    }
    coordinator.Begin(kRun, 0, At(0), {});
    if (mode == TrainMode::kAsync) {
      for (int i = 0; i < 60; ++i) coordinator.AddBlock(Block(i, 95));
      coordinator.SetNoMoreBlocks();
    }
    while (!coordinator.all_done()) {
      coordinator.Tick(milliseconds(++clock));
      coordinator.OpenBlocks();
      coordinator.TakeProgress(milliseconds(clock));
      std::this_thread::yield();
    }
    for (std::thread& thread : threads) thread.join();
    const Coordinator::Progress progress = coordinator.TakeProgress(milliseconds(clock));
    EXPECT_EQ(progress.examples, mode == TrainMode::kSync ? 3000 : 60 * 95);
    EXPECT_EQ(progress.global_step, mode == TrainMode::kSync ? 300 : 600);
    EXPECT_EQ(progress.twice + progress.skipped, 0);
  }
}

}  // namespace
}  // namespace capstan
