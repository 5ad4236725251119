#include "launch/task_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <utility>

namespace capstan {
namespace {
constexpr size_t kMaxLineBytes = 64 << 10;
}  // namespace

void LineCutter::Add(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    begun_.append(bytes.substr(0, end));
    if (end == std::string_view::npos && begun_.size() < kMaxLineBytes) return;
    bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
    Finish(sink);
  }
}

void LineCutter::Finish(const Sink& sink) {
  // Cleared only after the sink has seen it; empty lines are lines.
  std::string_view line = begun_;
  while (line.ends_with('\r')) line.remove_suffix(1);
  const size_t drawn = line.rfind('\r');
  if (drawn != std::string_view::npos) line.remove_prefix(drawn + 1);
  sink(line);
  begun_.clear();
}

TaskLogWriter::TaskLogWriter(std::string path, int64_t limit_bytes)
    : path_(std::move(path)), limit_bytes_(limit_bytes) {}

TaskLogWriter::~TaskLogWriter() {
  if (fd_ >= 0) ::close(fd_);
}

void TaskLogWriter::Append(std::string_view line) {
  if (fd_ >= 0 && size_bytes_ > limit_bytes_) {
    ::close(std::exchange(fd_, -1));
    ::rename(path_.c_str(), (path_ + ".1").c_str());
  }
  if (fd_ < 0) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat info {};
    size_bytes_ = fd_ >= 0 && ::fstat(fd_, &info) == 0 ? info.st_size : 0;
  }
  std::string text(line);
  text.push_back('\n');
  const ssize_t written = ::write(fd_, text.data(), text.size());
  if (written > 0) size_bytes_ += written;
}

TaskLogReader::TaskLogReader(std::string path, int64_t tail_lines)
    : path_(std::move(path)), tail_lines_(tail_lines) {}

TaskLogReader::~TaskLogReader() {
  if (fd_ >= 0) ::close(fd_);
}

bool TaskLogReader::Open() {
  if (fd_ < 0) fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  return fd_ >= 0;
}

bool TaskLogReader::ReadFile(int fd, const LineCutter::Sink& sink) {
  char buffer[1 << 16];
  bool any = false;
  for (;;) {
    const ssize_t bytes = ::read(fd, buffer, sizeof(buffer));
    if (bytes <= 0) return any;
    any = true;
    lines_.Add({buffer, static_cast<size_t>(bytes)}, sink);
  }
}

// All of the older file and of this one, but only the last lines are given.
void TaskLogReader::ReadTail(const LineCutter::Sink& sink) {
  std::deque<std::string> last;
  const auto keep = [&](std::string_view line) {
    if (tail_lines_ < 0) return sink(line);
    last.emplace_back(line);
    if (static_cast<int64_t>(last.size()) > tail_lines_) last.pop_front();
  };
  const int older = ::open((path_ + ".1").c_str(), O_RDONLY | O_CLOEXEC);
  if (older >= 0) {
    ReadFile(older, keep);
    ::close(older);
  }
  ReadFile(fd_, keep);
  for (const std::string& line : last) sink(line);
}

bool TaskLogReader::Read(const LineCutter::Sink& sink) {
  if (!Open()) return false;
  if (!begun_) {
    begun_ = true;
    ReadTail(sink);
    return true;
  }
  bool any = ReadFile(fd_, sink);
  // Another file under the name: this one has been read to its end.
  struct stat open_info {
  }, named_info{};
  if (::fstat(fd_, &open_info) == 0 && ::stat(path_.c_str(), &named_info) == 0 &&
      open_info.st_ino != named_info.st_ino) {
    any |= ReadFile(fd_, sink);
    ::close(std::exchange(fd_, -1));
    if (Open()) any |= ReadFile(fd_, sink);
  }
  return any;
}

}  // namespace capstan
