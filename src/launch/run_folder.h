// Where a local job keeps what other terminals need: <root>/<job>/, for this user only.
//
//   ../<job>.lock   held by the process that runs the job, as long as it lives
//   control         its socket
//   status          JSON, as it was last
//   token           the tasks' secret
//   logs/           one file per task
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"

namespace capstan {

// $XDG_RUNTIME_DIR/capstan (`runtime_folder`, may be ""), else /tmp/capstan-<user id>.
std::string RunRoot(const std::string& runtime_folder);

class RunFolder {
 public:
  RunFolder(const std::string& root, const std::string& job);

  const std::string& path() const { return path_; }
  std::string control() const { return path_ + "/control"; }
  std::string status() const { return path_ + "/status"; }
  std::string token() const { return path_ + "/token"; }
  std::string LogOf(const std::string& task) const { return path_ + "/logs/" + task + ".log"; }

  bool Exists() const;
  // Whether a process runs the job.
  bool IsHeld() const;
  // Waits until none does; false when `timeout_ms` passed.
  bool WaitUntilFree(int64_t timeout_ms) const;
  Status Remove() const;

 private:
  std::string path_;
};

// The right to run a job; given back in the destructor or when the process ends.
class RunFolderLock {
 public:
  // Makes an empty folder. kAlreadyExists when the job runs; kInvalidArgument when the root is not
  // this user's alone.
  static StatusOr<std::unique_ptr<RunFolderLock>> Take(const std::string& root,
                                                       const std::string& job);
  ~RunFolderLock();
  const RunFolder& folder() const { return folder_; }

 private:
  explicit RunFolderLock(RunFolder folder, int fd) : folder_(std::move(folder)), fd_(fd) {}
  const RunFolder folder_;
  const int fd_;
};

// Names of the jobs that have a folder, sorted.
std::vector<std::string> JobsIn(const std::string& root);

}  // namespace capstan
