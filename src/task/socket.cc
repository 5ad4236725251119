#include "task/socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace capstan {
namespace {

union AnyAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t Fill(const IpAddress& ip, int port, AnyAddress* address) {
  std::memset(address, 0, sizeof(*address));
  if (ip.is_v6) {
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_addr = ip.v6;
    address->v6.sin6_port = htons(static_cast<uint16_t>(port));
    return sizeof(address->v6);
  }
  address->v4.sin_family = AF_INET;
  address->v4.sin_addr = ip.v4;
  address->v4.sin_port = htons(static_cast<uint16_t>(port));
  return sizeof(address->v4);
}

Status Wait(int fd, short events, const Deadline& deadline) {
  for (;;) {
    pollfd file{.fd = fd, .events = events};
    const int ready = ::poll(&file, 1, deadline.LeftMs());
    if (ready > 0) return OkStatus();
    if (ready == 0) return MakeStatus(absl::StatusCode::kDeadlineExceeded, "no answer in time");
    if (errno != EINTR) return SystemError("wait for a socket", errno);
  }
}

StatusOr<Socket> ListenAt(const IpAddress& ip, int port) {
  Socket socket(::socket(ip.is_v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::string what = fmt::format("listen on port {}", port);
  if (socket.fd() < 0) return SystemError(what, errno);
  const int on = 1, off = 0;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (ip.is_v6) ::setsockopt(socket.fd(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
  AnyAddress address;
  const socklen_t size = Fill(ip, port, &address);
  constexpr int kWaiting = 128;
  if (::bind(socket.fd(), &address.any, size) != 0 || ::listen(socket.fd(), kWaiting) != 0) {
    return SystemError(what, errno);
  }
  return socket;
}

}  // namespace

int Deadline::LeftMs() const {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(at_ - std::chrono::steady_clock::now());
  return static_cast<int>(std::clamp<int64_t>(left.count(), 0, 1'000'000));
}

Socket::~Socket() {
  if (fd_ >= 0) ::close(fd_);
}

Status Socket::WaitToRead(const Deadline& deadline) const { return Wait(fd_, POLLIN, deadline); }

Status Socket::Write(std::string_view bytes, const Deadline& deadline) const {
  while (!bytes.empty()) {
    RETURN_IF_ERROR(Wait(fd_, POLLOUT, deadline));
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) return SystemError("send", errno);
    if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return OkStatus();
}

StatusOr<std::string> Socket::Read(size_t bytes, const Deadline& deadline) const {
  std::string text(bytes, '\0');
  size_t have = 0;
  while (have < bytes) {
    RETURN_IF_ERROR(WaitToRead(deadline));
    const ssize_t got = ::recv(fd_, text.data() + have, bytes - have, MSG_DONTWAIT);
    if (got == 0) return MakeStatus(absl::StatusCode::kUnavailable, "the connection was closed");
    if (got < 0 && errno != EAGAIN && errno != EINTR) return SystemError("receive", errno);
    if (got > 0) have += static_cast<size_t>(got);
  }
  return text;
}

StatusOr<std::string> Socket::ReadLine(size_t limit_bytes, const Deadline& deadline) const {
  std::string line;
  while (line.size() < limit_bytes) {
    RETURN_IF_ERROR(WaitToRead(deadline));
    char text[1024];
    const ssize_t seen = ::recv(fd_, text, sizeof(text), MSG_PEEK | MSG_DONTWAIT);
    if (seen == 0) return MakeStatus(absl::StatusCode::kUnavailable, "the connection was closed");
    if (seen < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (seen < 0) return SystemError("receive", errno);
    const char* end = static_cast<const char*>(std::memchr(text, '\n', static_cast<size_t>(seen)));
    const size_t take =
        end == nullptr ? static_cast<size_t>(seen) : static_cast<size_t>(end - text) + 1;
    ASSIGN_OR_RETURN(const std::string taken, Read(take, deadline));
    line += taken;
    if (end != nullptr) {
      line.pop_back();
      return line;
    }
  }
  return CorruptionError("a line of more than {} bytes", limit_bytes);
}

StatusOr<Socket> Connect(const IpAddress& ip, int port, int type,
                         std::chrono::milliseconds timeout) {
  const std::string what = fmt::format("connect to {} port {}", ip.Text(), port);
  Socket socket(::socket(ip.is_v6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (socket.fd() < 0) return SystemError(what, errno);
  AnyAddress address;
  const socklen_t size = Fill(ip, port, &address);
  if (::connect(socket.fd(), &address.any, size) == 0) return socket;
  if (errno != EINPROGRESS) return SystemError(what, errno);
  RETURN_IF_ERROR(Annotate(Wait(socket.fd(), POLLOUT, Deadline(timeout)), what));
  int error = 0;
  socklen_t error_size = sizeof(error);
  ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &error_size);
  if (error != 0) return SystemError(what, error);
  return socket;
}

StatusOr<Socket> Listen(int port, bool loopback_only) {
  IpAddress v4, v6{.is_v6 = true};
  v4.v4.s_addr = htonl(loopback_only ? INADDR_LOOPBACK : INADDR_ANY);
  if (loopback_only) return ListenAt(v4, port);
  v6.v6 = in6addr_any;
  StatusOr<Socket> both = ListenAt(v6, port);
  return both.ok() ? std::move(both) : ListenAt(v4, port);
}

StatusOr<Socket> Accept(const Socket& listener, IpAddress* caller) {
  AnyAddress address;
  socklen_t size = sizeof(address);
  Socket socket(::accept4(listener.fd(), &address.any, &size, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (socket.fd() < 0) return SystemError("accept a connection", errno);
  caller->is_v6 = address.any.sa_family == AF_INET6;
  if (caller->is_v6) {
    caller->v6 = address.v6.sin6_addr;
  } else {
    caller->v4 = address.v4.sin_addr;
  }
  return socket;
}

int PortOf(const Socket& socket) {
  AnyAddress address;
  socklen_t size = sizeof(address);
  if (::getsockname(socket.fd(), &address.any, &size) != 0) return -1;
  return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

}  // namespace capstan
