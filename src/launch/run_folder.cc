#include "launch/run_folder.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file_system.h"

namespace capstan {
namespace {

constexpr mode_t kPrivate = 0700;

// `path` is a folder of this user that nobody else can look into.
Status MakePrivateFolder(const std::string& path) {
  if (::mkdir(path.c_str(), kPrivate) != 0 && errno != EEXIST) {
    return SystemError("make folder " + path, errno);
  }
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return SystemError("look at folder " + path, errno);
  if (!S_ISDIR(info.st_mode) || info.st_uid != ::geteuid() || (info.st_mode & 077) != 0) {
    return Error("folder {}: wanted one of this user with mode 0700", path);
  }
  return OkStatus();
}

std::string LockPath(const std::string& folder) { return folder + ".lock"; }

}  // namespace

std::string RunRoot(const std::string& runtime_folder) {
  if (!runtime_folder.empty()) return JoinPath(runtime_folder, "capstan");
  return fmt::format("/tmp/capstan-{}", ::geteuid());
}

RunFolder::RunFolder(const std::string& root, const std::string& job)
    : path_(JoinPath(root, job)) {}

bool RunFolder::Exists() const { return ::access(path_.c_str(), F_OK) == 0; }

bool RunFolder::IsHeld() const {
  const int fd = ::open(LockPath(path_).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return false;
  const bool is_free = ::flock(fd, LOCK_SH | LOCK_NB) == 0;
  ::close(fd);
  return !is_free;
}

bool RunFolder::WaitUntilFree(int64_t timeout_ms) const {
  constexpr int kStepMs = 20;
  for (int64_t waited = 0; IsHeld(); waited += kStepMs) {
    if (waited >= timeout_ms) return false;
    ::poll(nullptr, 0, kStepMs);
  }
  return true;
}

Status RunFolder::Remove() const {
  RETURN_IF_ERROR(NewLocalFileSystem()->RemoveTree(path_));
  ::unlink(LockPath(path_).c_str());
  return OkStatus();
}

StatusOr<std::unique_ptr<RunFolderLock>> RunFolderLock::Take(const std::string& root,
                                                             const std::string& job) {
  RETURN_IF_ERROR(MakePrivateFolder(root));
  const RunFolder folder(root, job);
  // Beside the folder, which is made anew.
  const std::string path = LockPath(folder.path());
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return SystemError("open " + path, errno);
  auto lock = std::unique_ptr<RunFolderLock>(new RunFolderLock(folder, fd));
  struct stat ours {
  }, named{};
  const bool is_ours = ::flock(fd, LOCK_EX | LOCK_NB) == 0;
  // Not one that was removed in between.
  if (!is_ours || ::fstat(fd, &ours) != 0 || ::stat(path.c_str(), &named) != 0 ||
      ours.st_ino != named.st_ino) {
    return MakeStatus(absl::StatusCode::kAlreadyExists,
                      fmt::format("job {} runs on this machine already; `capstan status {} "
                                  "--engine=local` shows it",
                                  job, job));
  }
  if (folder.Exists()) RETURN_IF_ERROR(NewLocalFileSystem()->RemoveTree(folder.path()));
  RETURN_IF_ERROR(MakePrivateFolder(folder.path()));
  RETURN_IF_ERROR(MakePrivateFolder(folder.path() + "/logs"));
  return lock;
}

RunFolderLock::~RunFolderLock() { ::close(fd_); }

std::vector<std::string> JobsIn(const std::string& root) {
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  const StatusOr<std::vector<std::string>> names = fs->List(root);
  std::vector<std::string> jobs;
  if (!names.ok()) return jobs;
  for (const std::string& name : *names) {
    if (fs->IsFolder(JoinPath(root, name))) jobs.push_back(name);
  }
  return jobs;
}

}  // namespace capstan
