#include "base/worker_pool.h"

namespace capstan {
namespace {
// How often a waiter looks before it sleeps: about 2 µs, less than a futex wake-up costs. Longer
// spins would take the core from the prefetch threads.
constexpr int kSpins = 50;

template <typename T, typename Stop>
void WaitUntil(const std::atomic<T>& value, Stop stop) {
  T seen = value.load(std::memory_order_acquire);
  for (int i = 0; i < kSpins && !stop(seen); ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
    seen = value.load(std::memory_order_acquire);
  }
  while (!stop(seen)) {
    value.wait(seen, std::memory_order_acquire);
    seen = value.load(std::memory_order_acquire);
  }
}
}  // namespace

WorkerPool::WorkerPool(int workers) : workers_(workers < 1 ? 1 : workers) {
  for (int i = 1; i < workers_; ++i) threads_.emplace_back([this, i] { WorkerLoop(i); });
}

WorkerPool::~WorkerPool() {
  stopping_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkerPool::ParallelFor(int64_t count,
                             const std::function<void(int64_t index, int worker)>& body) {
  if (workers_ == 1 || count <= 1) {
    for (int64_t i = 0; i < count; ++i) body(i, 0);
    return;
  }
  body_ = &body;
  count_ = count;
  next_.store(0, std::memory_order_relaxed);
  active_.store(workers_ - 1, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  RunIndices(0);
  WaitUntil(active_, [](int active) { return active == 0; });
}

void WorkerPool::RunIndices(int worker) {
  for (;;) {
    const int64_t index = next_.fetch_add(1, std::memory_order_relaxed);
    if (index >= count_) return;
    (*body_)(index, worker);
  }
}

void WorkerPool::WorkerLoop(int worker) {
  uint64_t seen = 0;
  for (;;) {
    WaitUntil(generation_, [seen](uint64_t generation) { return generation != seen; });
    seen = generation_.load(std::memory_order_acquire);
    if (stopping_.load()) return;
    RunIndices(worker);
    if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) active_.notify_one();
  }
}

}  // namespace capstan
