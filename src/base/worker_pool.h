// The one pool of compute threads, sized in cli. It runs loops; it has no queue of closures.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace capstan {

// Runs index loops over `workers()` threads: the caller is worker 0, the pool owns the others.
// One loop at a time, started by one thread at a time. With 1 worker everything runs inline.
class WorkerPool {
 public:
  explicit WorkerPool(int workers);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int workers() const { return workers_; }

  // Calls body(index, worker) once for every index in [0, count), each index on whichever worker is
  // free (in ascending order of start), worker in [0, workers()). Returns when all have returned.
  void ParallelFor(int64_t count, const std::function<void(int64_t index, int worker)>& body);

 private:
  void WorkerLoop(int worker);
  void RunIndices(int worker);

  const int workers_;
  std::vector<std::thread> threads_;

  // The loop that is running; written while no worker is active.
  const std::function<void(int64_t, int)>* body_ = nullptr;
  int64_t count_ = 0;
  alignas(64) std::atomic<int64_t> next_{0};
  alignas(64) std::atomic<uint64_t> generation_{0};
  alignas(64) std::atomic<int> active_{0};
  std::atomic<bool> stopping_{false};
};

}  // namespace capstan
