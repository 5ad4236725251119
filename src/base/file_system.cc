#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace capstan {
namespace {

constexpr size_t kWriteBufferBytes = 1 << 18;

class LocalReadableFile : public ReadableFile {
 public:
  LocalReadableFile(int fd, uint64_t size_bytes, std::string path)
      : fd_(fd), size_bytes_(size_bytes), path_(std::move(path)) {}
  ~LocalReadableFile() override { ::close(fd_); }

  StatusOr<size_t> Read(uint64_t offset, size_t size_bytes, char* buffer) const override {
    size_t done = 0;
    while (done < size_bytes) {
      const ssize_t n = ::pread(fd_, buffer + done, size_bytes - done, offset + done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0)
        return SystemError(fmt::format("read {} at offset {}", path_, offset + done), errno);
      if (n == 0) break;
      done += n;
    }
    return done;
  }
  uint64_t size_bytes() const override { return size_bytes_; }
  const std::string& path() const override { return path_; }

 private:
  const int fd_;
  const uint64_t size_bytes_;
  const std::string path_;
};

class LocalWritableFile : public WritableFile {
 public:
  LocalWritableFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {
    buffer_.reserve(kWriteBufferBytes);
  }
  ~LocalWritableFile() override {
    if (fd_ >= 0) ::close(fd_);
  }

  Status Append(std::string_view bytes) override {
    if (buffer_.size() + bytes.size() > kWriteBufferBytes) RETURN_IF_ERROR(Flush());
    if (bytes.size() > kWriteBufferBytes) return Write(bytes);
    buffer_.append(bytes);
    return OkStatus();
  }
  Status WriteAt(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SystemError(fmt::format("write {} at offset {}", path_, offset), errno);
      bytes.remove_prefix(n);
      offset += n;
    }
    return OkStatus();
  }
  Status Flush() override {
    const Status status = Write(buffer_);
    buffer_.clear();
    return status;
  }
  Status Sync() override {
    RETURN_IF_ERROR(Flush());
    if (::fsync(fd_) != 0) return SystemError("sync " + path_, errno);
    return OkStatus();
  }
  Status Close() override {
    RETURN_IF_ERROR(Flush());
    const int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0) return SystemError("close " + path_, errno);
    return OkStatus();
  }
  const std::string& path() const override { return path_; }

 private:
  Status Write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return SystemError("write " + path_, errno);
      bytes.remove_prefix(n);
    }
    return OkStatus();
  }

  int fd_;
  const std::string path_;
  std::string buffer_;
};

class LocalFileSystem : public FileSystem {
 public:
  StatusOr<std::unique_ptr<ReadableFile>> OpenForRead(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return SystemError("open " + path, errno);
    struct stat info;
    if (::fstat(fd, &info) != 0 || S_ISDIR(info.st_mode)) {
      const int error = S_ISDIR(info.st_mode) ? EISDIR : errno;
      ::close(fd);
      return SystemError("open " + path, error);
    }
    return std::make_unique<LocalReadableFile>(fd, info.st_size, path);
  }

  StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return SystemError("create " + path, errno);
    return std::make_unique<LocalWritableFile>(fd, path);
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return SystemError(fmt::format("rename {} to {}", from, to), errno);
    }
    return OkStatus();
  }
  Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return SystemError("remove " + path, errno);
    return OkStatus();
  }
  Status RemoveTree(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return SystemError("remove " + path, error.value());
    return OkStatus();
  }
  Status CreateFolder(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return SystemError("create folder " + path, error.value());
    return OkStatus();
  }
  StatusOr<std::vector<std::string>> List(const std::string& path) override {
    DIR* folder = ::opendir(path.c_str());
    if (folder == nullptr) return SystemError("list " + path, errno);
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
  }
  bool Exists(const std::string& path) override {
    struct stat info;
    return ::stat(path.c_str(), &info) == 0;
  }
  bool IsFolder(const std::string& path) override {
    struct stat info;
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }
};

bool IsGlob(std::string_view path) { return path.find_first_of("*?[") != std::string_view::npos; }

// All paths that match the glob whose components are still to be expanded below `folder`.
Status ExpandGlob(FileSystem& fs, const std::string& folder, std::string_view rest,
                  std::vector<std::string>* paths) {
  const size_t slash = rest.find('/');
  const std::string component(rest.substr(0, slash));
  const bool last = slash == std::string_view::npos;
  std::vector<std::string> names = {component};
  if (IsGlob(component)) {
    StatusOr<std::vector<std::string>> listed = fs.List(folder.empty() ? "." : folder);
    if (!listed.ok()) return OkStatus();  // no such folder: no match
    names.clear();
    for (const std::string& name : *listed) {
      if (::fnmatch(component.c_str(), name.c_str(), FNM_PERIOD) == 0) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    const std::string path = folder.empty() ? name : JoinPath(folder, name);
    if (last) {
      if (fs.Exists(path)) paths->push_back(path);
    } else if (name.empty() || fs.IsFolder(path)) {
      RETURN_IF_ERROR(ExpandGlob(fs, name.empty() ? "/" : path, rest.substr(slash + 1), paths));
    }
  }
  return OkStatus();
}

}  // namespace

std::unique_ptr<FileSystem> NewLocalFileSystem() { return std::make_unique<LocalFileSystem>(); }

StatusOr<std::string> ReadFile(FileSystem& fs, const std::string& path, uint64_t limit_bytes) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, fs.OpenForRead(path));
  if (file->size_bytes() > limit_bytes) {
    return Error("read {}: {} bytes, at most {} are taken", path, file->size_bytes(), limit_bytes);
  }
  std::string bytes(file->size_bytes(), '\0');
  ASSIGN_OR_RETURN(const size_t n, file->Read(0, bytes.size(), bytes.data()));
  bytes.resize(n);
  return bytes;
}

Status WriteFileAtomically(FileSystem& fs, const std::string& path, std::string_view bytes) {
  const std::string beside = path + ".tmp";
  const auto write = [&]() -> Status {
    ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, fs.Create(beside));
    RETURN_IF_ERROR(file->Append(bytes));
    RETURN_IF_ERROR(file->Sync());
    RETURN_IF_ERROR(file->Close());
    return fs.Rename(beside, path);
  };
  const Status status = write();
  if (!status.ok()) fs.Remove(beside).IgnoreError();
  return status;
}

std::string JoinPath(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  std::string path(folder);
  if (path.back() != '/') path.push_back('/');
  return path.append(name);
}

std::string FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

std::string FileNameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

StatusOr<std::vector<std::string>> ExpandPaths(FileSystem& fs, std::string_view comma_list) {
  std::vector<std::string> paths;
  size_t start = 0;
  while (start <= comma_list.size()) {
    const size_t comma = std::min(comma_list.find(',', start), comma_list.size());
    const std::string pattern(comma_list.substr(start, comma - start));
    start = comma + 1;
    if (pattern.empty()) continue;
    if (!IsGlob(pattern)) {
      if (!fs.Exists(pattern)) return NotFoundError("open {}: no such file", pattern);
      paths.push_back(pattern);
      continue;
    }
    const size_t before = paths.size();
    RETURN_IF_ERROR(ExpandGlob(fs, "", pattern, &paths));
    if (paths.size() == before) return NotFoundError("open {}: no file matches", pattern);
  }
  if (paths.empty()) return Error("list of files '{}' is empty", comma_list);
  return paths;
}

}  // namespace capstan
