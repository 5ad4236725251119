// A disk in memory: the fake of tests and fuzzers.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"

namespace capstan {

// Thread-safe. Paths are plain names with slashes, nothing is resolved. A file that is open for
// reading keeps the bytes it had when it was opened.
class MemoryFileSystem : public FileSystem {
 public:
  // Puts a file there, with its folders.
  void Put(const std::string& path, std::string bytes);
  // Paths of all files, sorted.
  std::vector<std::string> Paths() const;

  StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override;
  StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status RemoveTree(const std::string& path) override;
  Status CreateFolder(const std::string& path) override;
  StatusOr<std::vector<std::string>> List(const std::string& path) override;
  bool Exists(const std::string& path) override;
  bool IsFolder(const std::string& path) override;

 private:
  // A file's content, whatever its name becomes. Writers copy the string when a reader holds it.
  struct Node {
    std::shared_ptr<std::string> bytes = std::make_shared<std::string>();
  };
  class Reader;
  class Writer;

  void AddFolders(std::string folder) REQUIRES(mutex_);
  bool IsFolderLocked(const std::string& path) const REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> files_ GUARDED_BY(mutex_);
  std::set<std::string> folders_ GUARDED_BY(mutex_);
};

}  // namespace capstan
