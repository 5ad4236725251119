// What a job looks like in a terminal: log lines with the task in front, sentences on changes of
// state, and below them a table that is drawn anew.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "launch/job_status.h"

namespace capstan {

// One line per task: state, address, step, examples/s, restarts, age, why.
std::vector<std::string> StatusTable(const JobStatus& status);

struct JobViewOptions {
  std::string command;    // "run": in front of our own sentences
  bool terminal = false;  // stdout is one: colours; with `table` also the table
  bool table = true;
  bool quiet = false;  // of the lines only those of leading tasks
};

class JobView {
 public:
  explicit JobView(const JobViewOptions& options) : options_(options) {}
  ~JobView();

  // All from any thread. Names of tasks, for the lines to come; ShowStatus does it too.
  void Learn(const JobStatus& status);
  void ShowLine(const std::string& task, std::string_view line);
  // Says what has changed since the last one, and draws the table.
  void ShowStatus(const JobStatus& status);
  // A sentence of ours, on stderr.
  void Say(const std::string& sentence);

 private:
  struct Shown {
    std::string name, prefix;
    bool leads = false;
    TaskState state = TaskState::kQueued;
    int restarts = 0;
  };

  Shown* Find(const std::string& task) REQUIRES(mutex_);
  void LearnTasks(const JobStatus& status) REQUIRES(mutex_);
  void Put(const std::string& sentence) REQUIRES(mutex_);
  void ClearTable() REQUIRES(mutex_);
  void DrawTable() REQUIRES(mutex_);

  const JobViewOptions options_;
  Mutex mutex_;
  std::vector<Shown> tasks_ GUARDED_BY(mutex_);
  TaskState state_ GUARDED_BY(mutex_) = TaskState::kQueued;
  std::vector<std::string> table_ GUARDED_BY(mutex_);  // as it should stand there
  size_t drawn_lines_ GUARDED_BY(mutex_) = 0;
};

}  // namespace capstan
