// What a command says while it runs: log lines on stderr in the form of the 2018 scripts, and on a
// terminal a progress bar below them.
#pragma once

#include <string>

#include "base/mutex.h"
#include "train/session.h"

namespace capstan {

class Console {
 public:
  // `json`: one JSON object per line instead of "2018-05-10 12:00:00 INFO     text".
  Console(bool json, bool quiet);
  ~Console();

  // "worker 1": in front of each line from now on.
  void SetTask(const std::string& task) { task_ = task; }

  // From any thread.
  void Log(const std::string& line);
  // Draws the bar anew; nothing when stderr is no terminal.
  void ShowProgress(const SessionProgress& progress);

 private:
  void ClearBar() REQUIRES(mutex_);

  const bool terminal_;
  const bool quiet_;
  std::string task_;
  Mutex mutex_;
  bool bar_shown_ GUARDED_BY(mutex_) = false;
};

}  // namespace capstan
