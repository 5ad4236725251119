// What a task waits for, told to whoever asks.
#pragma once

#include <string>
#include <utility>

#include "base/mutex.h"

namespace capstan {

// Thread-safe.
class WaitNotice {
 public:
  // "": for nothing.
  void Set(std::string text) EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    text_ = std::move(text);
  }
  std::string text() const EXCLUDES(mutex_) {
    MutexLock lock(&mutex_);
    return text_;
  }

 private:
  mutable Mutex mutex_;
  std::string text_ GUARDED_BY(mutex_);
};

}  // namespace capstan
