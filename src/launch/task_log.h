// The log of a task in a file, while it is written and read by different processes.
//
// NAME.log is written to its end; past a limit it becomes NAME.log.1 and a new one begins, so that
// a job keeps between one and two limits of each task.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/status.h"

namespace capstan {

// Cuts bytes into lines, over any pieces. A line that goes on for longer than 64 KB is cut there; of
// one that was drawn again and again with '\r' the last state counts.
class LineCutter {
 public:
  using Sink = std::function<void(std::string_view line)>;
  void Add(std::string_view bytes, const Sink& sink);
  // What came without an end of its line.
  void Finish(const Sink& sink);

 private:
  std::string begun_;
};

class TaskLogWriter {
 public:
  explicit TaskLogWriter(std::string path, int64_t limit_bytes = int64_t{32} << 20);
  ~TaskLogWriter();
  TaskLogWriter(const TaskLogWriter&) = delete;
  TaskLogWriter& operator=(const TaskLogWriter&) = delete;

  // A full disk loses lines, not the job.
  void Append(std::string_view line);

 private:
  const std::string path_;
  const int64_t limit_bytes_;
  int64_t size_bytes_ = 0;
  int fd_ = -1;
};

// Reads from the beginning, or the last lines, and then what is added.
class TaskLogReader {
 public:
  // The file may come later.
  TaskLogReader(std::string path, int64_t tail_lines);
  ~TaskLogReader();
  TaskLogReader(const TaskLogReader&) = delete;
  TaskLogReader& operator=(const TaskLogReader&) = delete;

  // Gives the whole lines that are there now; true if there were any.
  bool Read(const LineCutter::Sink& sink);

 private:
  bool Open();
  bool ReadFile(int fd, const LineCutter::Sink& sink);
  void ReadTail(const LineCutter::Sink& sink);

  const std::string path_;
  int64_t tail_lines_;  // -1: all
  bool begun_ = false;
  int fd_ = -1;
  LineCutter lines_;
};

}  // namespace capstan
