// A few threads for calls that may block, each for a bounded time.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace capstan {

class CallThreads {
 public:
  explicit CallThreads(int threads);
  // Waits for the calls that go on; those that have not begun are dropped.
  ~CallThreads();

  // From any thread. False: `limit` calls wait already.
  bool Add(std::function<void()> call, size_t limit = SIZE_MAX);

 private:
  void Run();

  Mutex mutex_;
  CondVar changed_;
  std::deque<std::function<void()>> calls_ GUARDED_BY(mutex_);
  bool stop_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
};

}  // namespace capstan
