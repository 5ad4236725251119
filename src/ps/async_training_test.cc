// Async training over the lossy network: each batch is applied exactly once on each server.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <thread>
#include <utility>

#include "ps/test_cluster.h"

namespace capstan {
namespace {

constexpr int kBatches = 6;  // of a lease
constexpr int kTables = 2;

// Plain sums, so that the order makes no difference: learning rate 1, gradients of small whole
// numbers.
std::vector<TableSpec> SumTables() {
  std::vector<TableSpec> tables = {{.name = "user"}, {.name = "item"}};
  for (TableSpec& table : tables) {
    table.parts = {{.name = "embedding",
                    .dim = 3,
                    .optimizer = {.kind = OptimizerKind::kSgd, .learning_rate = 1.0f}}};
  }
  return tables;
}

std::vector<DenseSpec> SumDense() {
  std::vector<DenseSpec> dense = {
      {.variable = "kernel",
       .shape = {20, 4},
       .optimizer = {.kind = OptimizerKind::kSgd, .learning_rate = 1.0f}}};
  LayOutDense(&dense);
  return dense;
}

std::vector<uint64_t> KeysOf(uint64_t lease, int64_t index, int table) {
  std::map<uint64_t, bool> keys;
  RandomStream random(MixBits(lease, index, table));
  for (int i = 0; i < 20; ++i) keys[MixBits(random.Below(100))] = true;
  std::vector<uint64_t> distinct;
  for (const auto& [key, unused] : keys) distinct.push_back(key);
  std::rotate(distinct.begin(), distinct.begin() + 5, distinct.end());  // in any order
  return distinct;
}

struct BatchKeys {
  BatchKeys(uint64_t lease, int64_t index) {
    for (int t = 0; t < kTables; ++t) {
      keys.push_back(KeysOf(lease, index, t));
      counts.emplace_back(keys[t].size(), static_cast<uint32_t>(1 + t));
    }
    for (int t = 0; t < kTables; ++t) views.push_back({keys[t], counts[t]});
  }
  std::vector<std::vector<uint64_t>> keys;
  std::vector<std::vector<uint32_t>> counts;
  std::vector<TableKeys> views;
};

Status TrainBatch(
    uint64_t lease, int64_t index, RemoteParameters* parameters,
    const std::function<void()>& before_push = [] {}) {
  const BatchKeys batch(lease, index);
  std::vector<std::vector<float>> gradients;
  for (const auto& keys : batch.keys) {
    gradients.emplace_back(keys.size() * 3, -static_cast<float>(lease + 1));
  }
  PulledRows rows;
  RETURN_IF_ERROR(parameters->Pull(1, batch.views, &rows));
  for (int t = 0; t < kTables; ++t) {
    for (const float* row : rows.rows[t]) EXPECT_NE(row, nullptr);
  }
  const std::vector<float> dense(parameters->dense().size(), -1.0f);
  Gradients push{.dense = dense, .scale = 1.0f};
  for (const auto& table : gradients) push.rows.push_back(table);
  before_push();
  parameters->SetPushIdentity({.lease = lease, .index = index});
  return parameters->Push({.step = 1}, push);
}

// What all batches of `leases` leases sum up to.
void ExpectEachBatchOnce(const CheckpointContents& contents, uint64_t leases) {
  std::vector<std::map<uint64_t, std::pair<uint32_t, float>>> wanted(kTables);
  for (uint64_t lease = 0; lease < leases; ++lease) {
    for (int64_t index = 0; index < kBatches; ++index) {
      for (int t = 0; t < kTables; ++t) {
        for (const uint64_t key : KeysOf(lease, index, t)) {
          wanted[t][key].first += static_cast<uint32_t>(1 + t);
          wanted[t][key].second += static_cast<float>(lease + 1);
        }
      }
    }
  }
  for (int t = 0; t < kTables; ++t) {
    ASSERT_EQ(contents.rows[t].size(), wanted[t].size());
    for (const auto& [key, bytes] : contents.rows[t]) {
      float weight;
      std::memcpy(&weight, bytes.data() + RowLayout::kHeaderBytes, sizeof(weight));
      EXPECT_EQ(RowLayout::Count(bytes.data()), wanted[t][key].first);
      EXPECT_EQ(weight, wanted[t][key].second);
    }
  }
  for (const float weight : contents.dense.at("kernel")) {
    EXPECT_EQ(weight, static_cast<float>(leases * kBatches));
  }
}

TEST(AsyncTraining, EachBatchIsAppliedOnceOnEachServer) {
  constexpr uint64_t kLeases = 12;
  const RunId run{.run = 9, .generation = 1};
  uint64_t seed = 100;
  for (const ValueFormat format : {ValueFormat::kFloat32, ValueFormat::kBfloat16}) {
    for (const int servers : {1, 2, 3}) {
      // Overlap: the pull of a lease's next batch is begun before the push, as a worker does.
      for (const auto& [workers, overlap] :
           {std::pair(1, false), std::pair(3, false), std::pair(1, true), std::pair(3, true)}) {
        TestCluster cluster(TrainMode::kAsync, servers, LossyNetwork(++seed), SumTables(),
                            SumDense());
        ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
        std::vector<std::unique_ptr<RemoteParameters>> parameters;
        for (int w = 0; w < workers; ++w) {
          parameters.push_back(cluster.NewWorker(w, format));
          parameters[w]->SetRun(run);
        }
        std::vector<std::thread> threads;
        for (int w = 0; w < workers; ++w) {
          threads.emplace_back([&, w, workers = workers, overlap = overlap] {
            for (uint64_t lease = w; lease < kLeases; lease += workers) {
              for (int64_t index = 0; index < kBatches; ++index) {
                const auto start_next = [&] {
                  if (!overlap || index + 1 == kBatches) return;
                  const BatchKeys next(lease, index + 1);
                  EXPECT_TRUE(parameters[w]->StartPull(1, next.views).ok());
                };
                const Status status = TrainBatch(lease, index, parameters[w].get(), start_next);
                ASSERT_TRUE(status.ok()) << status;
              }
            }
          });
        }
        for (std::thread& thread : threads) thread.join();
        ASSERT_TRUE(cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end"}).ok());
        ExpectEachBatchOnce(cluster.checkpoints().Contents("end"), kLeases);
        int64_t retries = 0;
        for (const auto& worker : parameters) {
          const RemoteParameters::Statistics statistics = worker->statistics();
          EXPECT_EQ(statistics.pushes, kBatches * static_cast<int64_t>(kLeases) / workers);
          EXPECT_LE(statistics.staleness_max, kBatches * static_cast<int64_t>(kLeases));
          if (workers == 1) {
            EXPECT_LE(statistics.staleness_max, overlap ? 1 : 0);
            EXPECT_EQ(statistics.pulls, statistics.pushes);
          }
          EXPECT_GT(statistics.bytes_in, 1000);
          retries += statistics.retries;
        }
        EXPECT_GT(retries, 0);
        EXPECT_EQ(cluster.server(0).statistics().applied_step, kBatches * kLeases);
      }
    }
  }
}

// A worker is lost while its push has reached one server of two: whoever does the batch again
// completes it.
TEST(AsyncTraining, AnotherWorkerCompletesAPush) {
  const RunId run{.run = 9, .generation = 1};
  TestCluster cluster(TrainMode::kAsync, 2, {}, SumTables(), SumDense());
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
  auto first = cluster.NewWorker(0);
  first->SetRun(run);
  ASSERT_TRUE(TrainBatch(0, 0, first.get()).ok());
  ASSERT_TRUE(TrainBatch(0, 1, first.get()).ok());
  std::thread lost([&] {
    EXPECT_TRUE(absl::IsCancelled(TrainBatch(
        0, 2, first.get(), [&] { cluster.network().CutLink("worker0", cluster.Address(1)); })));
  });
  while (first->statistics().retries == 0 || cluster.server(0).statistics().applied_step < 3) {
    std::this_thread::yield();
  }
  EXPECT_EQ(cluster.server(1).statistics().applied_step, 2);
  first->Stop();
  lost.join();
  auto second = cluster.NewWorker(1);
  second->SetRun(run);
  for (int64_t index = 2; index < kBatches; ++index) {
    ASSERT_TRUE(TrainBatch(0, index, second.get()).ok());
  }
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end"}).ok());
  ExpectEachBatchOnce(cluster.checkpoints().Contents("end"), 1);
}

// Servers cut at different moments; after the restore each lease is done again from its lowest mark.
TEST(AsyncTraining, ReplaysFromTheLowestMark) {
  RunId run{.run = 9, .generation = 1};
  TestCluster cluster(TrainMode::kAsync, 2, LossyNetwork(77), SumTables(), SumDense());
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
  auto worker = cluster.NewWorker(0);
  worker->SetRun(run);
  const ControlRequest cut{.kind = ControlKind::kCut, .run = run, .prefix = "cut"};
  ASSERT_TRUE(TrainBatch(0, 0, worker.get()).ok());
  ASSERT_TRUE(cluster.ControlOne(0, cut).ok());
  ASSERT_TRUE(TrainBatch(0, 1, worker.get()).ok());
  ASSERT_TRUE(TrainBatch(1, 0, worker.get()).ok());
  ASSERT_TRUE(cluster.ControlOne(1, cut).ok());
  ASSERT_TRUE(TrainBatch(1, 1, worker.get()).ok());
  run.generation = 2;
  const auto begun = cluster.Control({.kind = ControlKind::kBegin, .run = run, .prefix = "cut"});
  ASSERT_TRUE(begun.ok()) << begun.status();
  ASSERT_EQ(begun->at(0).marks.size(), 1u);
  EXPECT_EQ(begun->at(0).marks[0].index, 0);
  ASSERT_EQ(begun->at(1).marks.size(), 2u);
  EXPECT_EQ(begun->at(1).marks[0].index, 1);
  EXPECT_EQ(begun->at(1).marks[1].lease, 1u);
  EXPECT_EQ(begun->at(1).applied_step, 3);
  EXPECT_TRUE(absl::IsAborted(TrainBatch(1, 2, worker.get())));
  worker->SetRun(run);
  for (int64_t index = 1; index < kBatches; ++index) {
    ASSERT_TRUE(TrainBatch(0, index, worker.get()).ok());
  }
  for (int64_t index = 0; index < kBatches; ++index) {
    ASSERT_TRUE(TrainBatch(1, index, worker.get()).ok());
  }
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end"}).ok());
  ExpectEachBatchOnce(cluster.checkpoints().Contents("end"), 2);
}

}  // namespace
}  // namespace capstan
