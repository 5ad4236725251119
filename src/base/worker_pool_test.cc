#include "base/worker_pool.h"

#include <gtest/gtest.h>

#include <vector>

namespace capstan {
namespace {

TEST(WorkerPool, RunsEveryIndexOnce) {
  for (int workers : {1, 2, 5}) {
    WorkerPool pool(workers);
    for (int64_t count : {0, 1, 2, 3, 1000}) {
      std::vector<std::atomic<int>> runs(count);
      pool.ParallelFor(count, [&](int64_t index, int worker) {
        EXPECT_LT(worker, workers);
        runs[index].fetch_add(1);
      });
      for (const auto& run : runs) EXPECT_EQ(run.load(), 1);
    }
  }
}

TEST(WorkerPool, ManyShortLoopsSeeEachOthersWrites) {
  WorkerPool pool(3);
  std::vector<int64_t> sums(64, 0);
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(64, [&](int64_t i, int) { sums[i] += i; });
  }
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(sums[i], 2000 * i);
}

}  // namespace
}  // namespace capstan
