// std::mutex and condition variables with Clang's thread-safety annotations (-Wthread-safety).
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

// GUARDED_BY and NO_THREAD_SAFETY_ANALYSIS come with abseil's status; the others are ours.
#include "absl/base/thread_annotations.h"

#if defined(__clang__)
#define CAPSTAN_ANNOTATE(x) __attribute__((x))
#else
#define CAPSTAN_ANNOTATE(x)
#endif
#define REQUIRES(...) CAPSTAN_ANNOTATE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) CAPSTAN_ANNOTATE(locks_excluded(__VA_ARGS__))

namespace capstan {

class CAPSTAN_ANNOTATE(capability("mutex")) Mutex {
 public:
  void Lock() CAPSTAN_ANNOTATE(acquire_capability()) { mutex_.lock(); }
  void Unlock() CAPSTAN_ANNOTATE(release_capability()) { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class CAPSTAN_ANNOTATE(scoped_lockable) MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) CAPSTAN_ANNOTATE(acquire_capability(mutex)) : mutex_(mutex) {
    mutex_->Lock();
  }
  ~MutexLock() CAPSTAN_ANNOTATE(release_capability()) { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits are written as loops by the caller: while (!condition) cv.Wait(&mutex);
class CondVar {
 public:
  void Wait(Mutex* mutex) REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    cv_.wait(lock);
    lock.release();
  }
  // False when `timeout` passed without a notification.
  bool WaitFor(Mutex* mutex, std::chrono::nanoseconds timeout)
      REQUIRES(mutex) NO_THREAD_SAFETY_ANALYSIS {
    std::unique_lock<std::mutex> lock(mutex->mutex_, std::adopt_lock);
    const bool notified = cv_.wait_for(lock, timeout) == std::cv_status::no_timeout;
    lock.release();
    return notified;
  }
  void NotifyOne() { cv_.notify_one(); }
  void NotifyAll() { cv_.notify_all(); }

 private:
  std::condition_variable cv_;
};

}  // namespace capstan
