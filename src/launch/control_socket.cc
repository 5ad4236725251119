#include "launch/control_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file_system.h"

namespace capstan {
namespace {

constexpr int kQuestionMs = 1'000, kAnswerMs = 10'000;
constexpr size_t kMaxQuestionBytes = 4'096, kMaxAnswerBytes = 16 << 20;

// A socket's path has 108 bytes at most: by its folder's number it is always short enough.
template <typename Call>
int WithShortPath(const std::string& path, const Call& call) {
  const int folder = ::open(FolderOf(path).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return -1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = fmt::format("/proc/self/fd/{}/{}", folder, FileNameOf(path));
  std::memcpy(address.sun_path, name.c_str(),
              std::min(name.size() + 1, sizeof(address.sun_path) - 1));
  const int result = call(reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  const int error = errno;
  ::close(folder);
  errno = error;
  return result;
}

// To the end of a line or of the connection.
std::string ReadLine(int fd, size_t limit_bytes, int timeout_ms) {
  std::string line;
  char buffer[4096];
  while (line.size() < limit_bytes) {
    pollfd file{.fd = fd, .events = POLLIN};
    if (::poll(&file, 1, timeout_ms) <= 0) return "";
    const ssize_t bytes = ::read(fd, buffer, sizeof(buffer));
    if (bytes <= 0) return "";
    line.append(buffer, static_cast<size_t>(bytes));
    if (line.ends_with('\n')) {
      line.pop_back();
      return line;
    }
  }
  return "";
}

void Send(int fd, const std::string& text) {
  const std::string line = text + "\n";
  size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t bytes = ::send(fd, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (bytes <= 0) return;
    sent += static_cast<size_t>(bytes);
  }
}

}  // namespace

StatusOr<std::unique_ptr<ControlSocket>> ControlSocket::Listen(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("make a socket", errno);
  auto control = std::unique_ptr<ControlSocket>(new ControlSocket(fd));
  constexpr int kWaiting = 16;
  const int bound = WithShortPath(
      path, [&](const sockaddr* address, socklen_t size) { return ::bind(fd, address, size); });
  if (bound != 0 || ::listen(fd, kWaiting) != 0) return SystemError("listen at " + path, errno);
  return control;
}

ControlSocket::~ControlSocket() { ::close(fd_); }

void ControlSocket::Answer(const std::function<std::string(const std::string&)>& answer) {
  const int caller = ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC);
  if (caller < 0) return;
  const std::string question = ReadLine(caller, kMaxQuestionBytes, kQuestionMs);
  const timeval limit{.tv_sec = 1, .tv_usec = 0};
  ::setsockopt(caller, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (!question.empty()) Send(caller, answer(question));
  ::close(caller);
}

StatusOr<std::string> AskControl(const std::string& path, const std::string& question) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return SystemError("make a socket", errno);
  const int connected = WithShortPath(
      path, [&](const sockaddr* address, socklen_t size) { return ::connect(fd, address, size); });
  if (connected != 0) {
    const Status status = SystemError("connect to " + path, errno);
    ::close(fd);
    return status;
  }
  Send(fd, question);
  const std::string answer = ReadLine(fd, kMaxAnswerBytes, kAnswerMs);
  ::close(fd);
  if (answer.empty()) {
    return MakeStatus(absl::StatusCode::kUnavailable, "no answer from who runs the job");
  }
  return answer;
}

}  // namespace capstan
