// One thread that does slow things in order: restoring and writing a server's part of a checkpoint.
#pragma once

#include <deque>
#include <functional>
#include <thread>

#include "base/mutex.h"

namespace capstan {

class JobThread {
 public:
  // `stopping`: the job is not to be done any more, only to be answered.
  using Job = std::function<void(bool stopping)>;

  JobThread();
  ~JobThread() { Stop(); }
  JobThread(const JobThread&) = delete;
  JobThread& operator=(const JobThread&) = delete;

  // From any thread. After Stop the job is called at once, by the caller.
  void Add(Job job) EXCLUDES(mutex_);
  // Waits for the job that runs, and calls those behind it with `stopping`.
  void Stop() EXCLUDES(mutex_);

 private:
  void Loop() EXCLUDES(mutex_);

  Mutex mutex_;
  CondVar changed_;
  std::deque<Job> jobs_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace capstan
