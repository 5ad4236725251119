// The bounded memory of one snapshot, shared by all its tables, and the place where training waits
// when it is full.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"

namespace capstan {

class SnapshotBuffer {
 public:
  explicit SnapshotBuffer(int64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  // False when so much is not free.
  bool Take(int64_t bytes);
  // Without asking: what a snapshot cannot do without.
  void TakeAnyway(int64_t bytes);
  void Give(int64_t bytes);

  // Writer: rows were passed or memory was given back.
  void Progress() EXCLUDES(mutex_);
  uint64_t progress() const EXCLUDES(mutex_);
  // Trainer: waits until Progress was called since progress() was `seen`. Whoever waits for memory
  // counts that.
  void WaitPast(uint64_t seen) EXCLUDES(mutex_);
  void CountStall() { stalls_.fetch_add(1, std::memory_order_relaxed); }

  // After this nothing is preserved any more and nobody waits.
  void Finish() EXCLUDES(mutex_);
  bool finished() const { return finished_.load(std::memory_order_acquire); }

  int64_t stalls() const { return stalls_.load(std::memory_order_relaxed); }
  int64_t peak_bytes() const { return peak_.load(std::memory_order_relaxed); }

 private:
  void NotePeak(int64_t used);

  const int64_t capacity_bytes_;
  std::atomic<int64_t> used_{0};
  std::atomic<int64_t> peak_{0};
  std::atomic<int64_t> stalls_{0};
  std::atomic<bool> finished_{false};
  mutable Mutex mutex_;
  CondVar progressed_;
  uint64_t progress_ GUARDED_BY(mutex_) = 0;
};

}  // namespace capstan
