#include "base/memory_file_system.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace capstan {

class MemoryFileSystem::Reader : public ReadableFile {
 public:
  Reader(std::shared_ptr<const std::string> bytes, std::string path)
      : bytes_(std::move(bytes)), path_(std::move(path)) {}

  StatusOr<size_t> Read(uint64_t offset, size_t size_bytes, char* buffer) const override {
    if (offset >= bytes_->size()) return size_t{0};
    const size_t n = std::min<uint64_t>(size_bytes, bytes_->size() - offset);
    std::memcpy(buffer, bytes_->data() + offset, n);
    return n;
  }
  uint64_t size_bytes() const override { return bytes_->size(); }
  const std::string& path() const override { return path_; }

 private:
  const std::shared_ptr<const std::string> bytes_;
  const std::string path_;
};

class MemoryFileSystem::Writer : public WritableFile {
 public:
  Writer(Mutex* mutex, std::shared_ptr<Node> node, std::string path)
      : mutex_(mutex), node_(std::move(node)), path_(std::move(path)) {}

  Status Append(std::string_view bytes) override {
    MutexLock lock(mutex_);
    Own().append(bytes);
    return OkStatus();
  }
  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    MutexLock lock(mutex_);
    std::string& content = Own();
    if (content.size() < offset + bytes.size()) content.resize(offset + bytes.size());
    content.replace(offset, bytes.size(), bytes);
    return OkStatus();
  }
  Status Flush() override { return OkStatus(); }
  Status Sync() override { return OkStatus(); }
  Status Close() override { return OkStatus(); }
  const std::string& path() const override { return path_; }

 private:
  // The content, not shared with a reader.
  std::string& Own() {
    if (node_->bytes.use_count() > 1) node_->bytes = std::make_shared<std::string>(*node_->bytes);
    return *node_->bytes;
  }

  Mutex* const mutex_;
  const std::shared_ptr<Node> node_;
  const std::string path_;
};

void MemoryFileSystem::Put(const std::string& path, std::string bytes) {
  auto node = std::make_shared<Node>();
  *node->bytes = std::move(bytes);
  MutexLock lock(&mutex_);
  AddFolders(FolderOf(path));
  files_[path] = std::move(node);
}

std::vector<std::string> MemoryFileSystem::Paths() const {
  MutexLock lock(&mutex_);
  std::vector<std::string> paths;
  for (const auto& [path, node] : files_) paths.push_back(path);
  return paths;
}

StatusOr<std::unique_ptr<ReadableFile>> MemoryFileSystem::OpenForRead(const std::string& path) {
  MutexLock lock(&mutex_);
  if (IsFolderLocked(path)) return SystemError("open " + path, EISDIR);
  const auto found = files_.find(path);
  if (found == files_.end()) return SystemError("open " + path, ENOENT);
  return std::make_unique<Reader>(found->second->bytes, path);
}

StatusOr<std::unique_ptr<WritableFile>> MemoryFileSystem::Create(const std::string& path) {
  MutexLock lock(&mutex_);
  if (IsFolderLocked(path)) return SystemError("create " + path, EISDIR);
  if (!IsFolderLocked(FolderOf(path))) return SystemError("create " + path, ENOENT);
  auto node = std::make_shared<Node>();
  files_[path] = node;
  return std::make_unique<Writer>(&mutex_, std::move(node), path);
}

Status MemoryFileSystem::Rename(const std::string& from, const std::string& to) {
  MutexLock lock(&mutex_);
  const std::string what = fmt::format("rename {} to {}", from, to);
  if (!IsFolderLocked(FolderOf(to))) return SystemError(what, ENOENT);
  if (const auto found = files_.find(from); found != files_.end()) {
    if (IsFolderLocked(to)) return SystemError(what, EISDIR);
    const std::shared_ptr<Node> node = found->second;
    files_.erase(found);
    files_[to] = node;
    return OkStatus();
  }
  if (!IsFolderLocked(from)) return SystemError(what, ENOENT);
  // A folder: everything below it moves.
  if (files_.contains(to)) return SystemError(what, ENOTDIR);
  const auto moved = [&](const std::string& path) { return to + path.substr(from.size()); };
  const auto below = [&](const std::string& path) {
    return path == from || path.starts_with(from + "/");
  };
  std::map<std::string, std::shared_ptr<Node>> files;
  for (const auto& [path, node] : files_) files[below(path) ? moved(path) : path] = node;
  std::set<std::string> folders;
  for (const std::string& path : folders_) folders.insert(below(path) ? moved(path) : path);
  files_ = std::move(files);
  folders_ = std::move(folders);
  return OkStatus();
}

Status MemoryFileSystem::Remove(const std::string& path) {
  MutexLock lock(&mutex_);
  if (files_.erase(path) == 0) return SystemError("remove " + path, ENOENT);
  return OkStatus();
}

Status MemoryFileSystem::RemoveTree(const std::string& path) {
  MutexLock lock(&mutex_);
  const auto below = [&](const std::string& other) {
    return other == path || other.starts_with(path + "/");
  };
  std::erase_if(files_, [&](const auto& entry) { return below(entry.first); });
  std::erase_if(folders_, below);
  return OkStatus();
}

Status MemoryFileSystem::CreateFolder(const std::string& path) {
  MutexLock lock(&mutex_);
  for (std::string folder = path; folder != "." && folder != "/"; folder = FolderOf(folder)) {
    if (files_.contains(folder)) return SystemError("create folder " + path, ENOTDIR);
  }
  AddFolders(path);
  return OkStatus();
}

StatusOr<std::vector<std::string>> MemoryFileSystem::List(const std::string& path) {
  MutexLock lock(&mutex_);
  if (!IsFolderLocked(path)) return SystemError("list " + path, ENOENT);
  std::set<std::string> names;
  for (const auto& [file, node] : files_) {
    if (FolderOf(file) == path) names.insert(FileNameOf(file));
  }
  for (const std::string& folder : folders_) {
    if (FolderOf(folder) == path) names.insert(FileNameOf(folder));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

bool MemoryFileSystem::Exists(const std::string& path) {
  MutexLock lock(&mutex_);
  return files_.contains(path) || IsFolderLocked(path);
}

bool MemoryFileSystem::IsFolder(const std::string& path) {
  MutexLock lock(&mutex_);
  return IsFolderLocked(path);
}

void MemoryFileSystem::AddFolders(std::string folder) {
  for (; folder != "." && folder != "/"; folder = FolderOf(folder)) folders_.insert(folder);
}

bool MemoryFileSystem::IsFolderLocked(const std::string& path) const {
  return path == "." || path == "/" || folders_.contains(path);
}

}  // namespace capstan
