#include "ps/job_thread.h"

#include <utility>

namespace capstan {

JobThread::JobThread() : thread_([this] { Loop(); }) {}

void JobThread::Add(Job job) {
  {
    MutexLock lock(&mutex_);
    if (!stopping_) {
      jobs_.push_back(std::move(job));
      changed_.NotifyAll();
      return;
    }
  }
  job(true);
}

void JobThread::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

void JobThread::Loop() {
  for (;;) {
    Job job;
    bool stopping = false;
    {
      MutexLock lock(&mutex_);
      while (jobs_.empty() && !stopping_) changed_.Wait(&mutex_);
      if (jobs_.empty()) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
      stopping = stopping_;
    }
    job(stopping);
  }
}

}  // namespace capstan
