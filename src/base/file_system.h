// The seam between the program and the disk. Two implementations: the machine's own, and the
// failing one of tests (FaultyFileSystem in base/faulty_file_system.h).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// A file open for reading. Reads may be made from several threads at once.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;

  // Reads up to `size_bytes` at `offset` into `buffer`; returns the bytes read, fewer only at the
  // end of the file. Errors name the path.
  virtual StatusOr<size_t> Read(uint64_t offset, size_t size_bytes, char* buffer) const = 0;
  virtual uint64_t size_bytes() const = 0;
  virtual const std::string& path() const = 0;
};

// A file being written, from one thread. Not closed = its bytes may be lost.
class WritableFile {
 public:
  virtual ~WritableFile() = default;

  virtual Status Append(std::string_view bytes) = 0;
  // Writes at an offset, unbuffered, beside what Append does; a hole that is left reads as zeros.
  // A file is written either by Append or by WriteAt, not by both.
  virtual Status WriteAt(uint64_t offset, std::string_view bytes) = 0;
  // Hands buffered bytes to the system (a reader of the file sees them).
  virtual Status Flush() = 0;
  // Flush, and to the disk itself.
  virtual Status Sync() = 0;
  virtual Status Close() = 0;
  virtual const std::string& path() const = 0;
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) = 0;
  // An existing file is emptied.
  virtual StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) = 0;
  // Replaces `to` in one step.
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  virtual Status RemoveTree(const std::string& path) = 0;
  // With missing parents; fine if it is there.
  virtual Status CreateFolder(const std::string& path) = 0;
  // Names (not paths) in the folder, sorted.
  virtual StatusOr<std::vector<std::string>> List(const std::string& path) = 0;
  virtual bool Exists(const std::string& path) = 0;
  virtual bool IsFolder(const std::string& path) = 0;
};

// The machine's own; has no state.
std::unique_ptr<FileSystem> NewLocalFileSystem();

// Whole small files. ReadFile refuses files over `limit_bytes` (from outside: sizes are checked).
StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path,
                               uint64_t limit_bytes = uint64_t{1} << 31);
// Written beside, synced and renamed: the old content or the new, never a half.
Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view bytes);

std::string JoinPath(std::string_view folder, std::string_view name);
// "a/b/c" → "a/b", "c"; "c" → ".", "c".
std::string FolderOf(std::string_view path);
std::string FileNameOf(std::string_view path);

// A comma list of paths and shell globs (* ? [..]), each sorted by name. A glob or a path with no
// match is an error that names it.
StatusOr<std::vector<std::string>> ExpandPaths(FileSystem& fs, std::string_view comma_list);

}  // namespace capstan
