#include "task/call_threads.h"

namespace capstan {

CallThreads::CallThreads(int threads) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

CallThreads::~CallThreads() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
    changed_.NotifyAll();
  }
  threads_.clear();
}

bool CallThreads::Add(std::function<void()> call, size_t limit) {
  MutexLock lock(&mutex_);
  if (calls_.size() >= limit) return false;
  calls_.push_back(std::move(call));
  changed_.NotifyOne();
  return true;
}

void CallThreads::Run() {
  for (;;) {
    std::function<void()> call;
    {
      MutexLock lock(&mutex_);
      while (calls_.empty() && !stop_) changed_.Wait(&mutex_);
      if (stop_) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    call();
  }
}

}  // namespace capstan
