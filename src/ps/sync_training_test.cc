// Servers and workers over the lossy network: the same bits as one process, whatever happens.
#include <gtest/gtest.h>

#include <thread>

#include "base/mutex.h"
#include "ps/synthetic_training.h"
#include "ps/test_cluster.h"

namespace capstan {
namespace {

// What one process holds after so many steps.
CheckpointContents TrainedLocally(const SyntheticTraining& training, int64_t steps) {
  WorkerPool pool(1);
  auto parameters =
      LocalParameters::Create(training.tables(), training.dense(), TestCluster::kSeed, &pool)
          .value();
  for (int64_t id = 0; id < training.tables()[2].dense_size; ++id) {
    EXPECT_TRUE(parameters->table(2).Insert(static_cast<uint64_t>(id), 0, 0).ok());
  }
  for (int64_t step = 1; step <= steps; ++step) {
    EXPECT_TRUE(training.LocalStep(step, parameters.get()).ok());
    parameters->Expire(step);
  }
  MemoryCheckpoints checkpoints(training.tables(), training.dense());
  auto snapshot = parameters->Cut(1 << 20).value();
  EXPECT_TRUE(checkpoints.Write("local", parameters->dense_variables(), snapshot.get()).ok());
  return checkpoints.Contents("local");
}

// Slices of a step that a worker does: its own, and some of others, as a backup.
std::vector<int> SlicesFor(int worker, int workers, int64_t step) {
  std::vector<int> slices;
  for (int s = 0; s < SyntheticTraining::kSlices; ++s) {
    const bool own = (s + step) % workers == worker;
    const bool backup = MixBits(step, s, worker) % 8 == 0;
    if (own || backup) slices.push_back(s);
  }
  return slices;
}

// Where the workers are to begin, and whether that is the last time.
class Generation {
 public:
  void Set(const RunId& run, int64_t start_step, bool last) {
    MutexLock lock(&mutex_);
    run_ = run;
    start_step_ = start_step;
    last_ = last;
    changed_.NotifyAll();
  }
  // Waits for one that is not `*run`. False: there will be none.
  bool Next(RunId* run, int64_t* start_step) {
    MutexLock lock(&mutex_);
    while (run_ == *run && !last_) changed_.Wait(&mutex_);
    if (run_ == *run) return false;
    *run = run_;
    *start_step = start_step_;
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  RunId run_ GUARDED_BY(mutex_);
  int64_t start_step_ GUARDED_BY(mutex_) = 0;
  bool last_ GUARDED_BY(mutex_) = false;
};

// A worker of a sync training: all steps, and again from the start of each new generation.
void TrainSlices(const SyntheticTraining& training, int worker, int workers, int64_t steps,
                 Generation* generation, RemoteParameters* parameters) {
  RunId run;
  int64_t step = 0;
  while (generation->Next(&run, &step)) {
    parameters->SetRun(run);
    Status status;
    while (status.ok() && ++step <= steps) {
      const std::vector<int> slices = SlicesFor(worker, workers, step);
      if (slices.empty()) continue;
      std::vector<int> next;
      if (worker % 2 == 1 && step < steps) next = SlicesFor(worker, workers, step + 1);
      status = training.SlicesOfStep(step, slices, next, parameters);
    }
    EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
  }
}

// The workers of a training, each on a thread.
class Workers {
 public:
  Workers(const SyntheticTraining& training, TestCluster* cluster, int workers, int64_t steps,
          Generation* generation) {
    for (int w = 0; w < workers; ++w) parameters_.push_back(cluster->NewWorker(w));
    for (int w = 0; w < workers; ++w) {
      threads_.emplace_back([=, &training, this] {
        TrainSlices(training, w, workers, steps, generation, parameters_[w].get());
      });
    }
  }
  ~Workers() { Join(); }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::vector<std::unique_ptr<RemoteParameters>> parameters_;
  std::vector<std::thread> threads_;
};

TEST(SyncTraining, SameBitsAsOneProcessForAnyServersAndWorkers) {
  constexpr int64_t kSteps = 14;
  const SyntheticTraining training;
  const CheckpointContents wanted = TrainedLocally(training, kSteps);
  EXPECT_GT(wanted.rows[1].size(), 5u);
  EXPECT_GT(wanted.filtered[1].size(), 50u);
  uint64_t seed = 0;
  for (const int servers : {1, 2, 3, 5}) {
    for (const int workers : {1, 2, 3, 8}) {
      TestCluster cluster(TrainMode::kSync, servers, LossyNetwork(++seed), training.tables(),
                          training.dense());
      const RunId run{.run = 5, .generation = 1};
      ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
      Generation generation;
      generation.Set(run, 0, true);
      Workers(training, &cluster, workers, kSteps, &generation).Join();
      const auto answers = cluster.Control({.kind = ControlKind::kCut,
                                            .run = run,
                                            .prefix = "end",
                                            .step = kSteps,
                                            .finished_step = kSteps});
      ASSERT_TRUE(answers.ok()) << answers.status();
      EXPECT_EQ(answers->at(0).part_prefix, "end.part0");
      EXPECT_TRUE(cluster.checkpoints().Contents("end") == wanted) << servers << " " << workers;
      EXPECT_EQ(cluster.server(0).statistics().pushes, kSteps * SyntheticTraining::kSlices);
    }
  }
}

// A server is killed after a cut, and all go back to it. Another job goes on from the same cut with
// another number of servers.
TEST(SyncTraining, GoesOnFromACutWithTheSameBits) {
  constexpr int64_t kSteps = 16, kCut = 6;
  constexpr int kWorkers = 3;
  const SyntheticTraining training;
  const CheckpointContents wanted = TrainedLocally(training, kSteps);
  TestCluster cluster(TrainMode::kSync, 2, LossyNetwork(3), training.tables(), training.dense());
  RunId run{.run = 5, .generation = 1};
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
  Generation first;
  first.Set(run, 0, true);
  Workers(training, &cluster, kWorkers, kCut, &first).Join();
  ASSERT_TRUE(cluster
                  .Control({.kind = ControlKind::kCut,
                            .run = run,
                            .prefix = "cut",
                            .step = kCut,
                            .finished_step = kCut})
                  .ok());

  Generation second;
  second.Set(run, kCut, false);
  Workers workers(training, &cluster, kWorkers, kSteps, &second);
  while (cluster.server(0).statistics().applied_step < kCut + 3) std::this_thread::yield();
  cluster.StopServer(1);
  cluster.StartServer(1);
  run.generation = 2;
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run, .prefix = "cut"}).ok());
  EXPECT_EQ(cluster.server(1).statistics().applied_step, kCut);
  second.Set(run, kCut, true);
  // Workers that wait for the old generation hear from the servers that it is over.
  workers.Join();
  ASSERT_TRUE(cluster
                  .Control({.kind = ControlKind::kCut,
                            .run = run,
                            .prefix = "end",
                            .step = kSteps,
                            .finished_step = kSteps})
                  .ok());
  EXPECT_TRUE(cluster.checkpoints().Contents("end") == wanted);

  TestCluster other(TrainMode::kSync, 3, LossyNetwork(4), training.tables(), training.dense());
  other.checkpoints().Add("cut", cluster.checkpoints().Contents("cut"));
  ASSERT_TRUE(other.Control({.kind = ControlKind::kBegin, .run = run, .prefix = "cut"}).ok());
  Generation third;
  third.Set(run, kCut, true);
  Workers(training, &other, kWorkers, kSteps, &third).Join();
  ASSERT_TRUE(other
                  .Control({.kind = ControlKind::kCut,
                            .run = run,
                            .prefix = "end",
                            .step = kSteps,
                            .finished_step = kSteps})
                  .ok());
  EXPECT_TRUE(other.checkpoints().Contents("end") == wanted);
}

}  // namespace
}  // namespace capstan
