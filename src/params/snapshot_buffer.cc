#include "params/snapshot_buffer.h"

namespace capstan {

void SnapshotBuffer::NotePeak(int64_t used) {
  int64_t peak = peak_.load(std::memory_order_relaxed);
  while (used > peak && !peak_.compare_exchange_weak(peak, used, std::memory_order_relaxed)) {
  }
}

bool SnapshotBuffer::Take(int64_t bytes) {
  int64_t used = used_.load(std::memory_order_relaxed);
  do {
    if (used + bytes > capacity_bytes_) return false;
  } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
  NotePeak(used + bytes);
  return true;
}

void SnapshotBuffer::TakeAnyway(int64_t bytes) {
  NotePeak(used_.fetch_add(bytes, std::memory_order_relaxed) + bytes);
}

void SnapshotBuffer::Give(int64_t bytes) { used_.fetch_sub(bytes, std::memory_order_relaxed); }

void SnapshotBuffer::Progress() {
  {
    MutexLock lock(&mutex_);
    ++progress_;
  }
  progressed_.NotifyAll();
}

uint64_t SnapshotBuffer::progress() const {
  MutexLock lock(&mutex_);
  return progress_;
}

void SnapshotBuffer::WaitPast(uint64_t seen) {
  MutexLock lock(&mutex_);
  while (progress_ == seen) progressed_.Wait(&mutex_);
}

void SnapshotBuffer::Finish() {
  finished_.store(true, std::memory_order_release);
  Progress();
}

}  // namespace capstan
