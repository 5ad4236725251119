// A socket that never blocks longer than a deadline.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "task/host_resolver.h"

namespace capstan {

class Deadline {
 public:
  explicit Deadline(std::chrono::milliseconds span)
      : at_(std::chrono::steady_clock::now() + span) {}
  // For poll(): at least 0.
  int LeftMs() const;

 private:
  std::chrono::steady_clock::time_point at_;
};

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}  // owned
  ~Socket();
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  int fd() const { return fd_; }
  // kDeadlineExceeded when it passes.
  Status WaitToRead(const Deadline& deadline) const;
  Status Write(std::string_view bytes, const Deadline& deadline) const;
  // Exactly so many bytes.
  StatusOr<std::string> Read(size_t bytes, const Deadline& deadline) const;
  // To the end of a line, which is not part of it. What comes behind the line stays.
  StatusOr<std::string> ReadLine(size_t limit_bytes, const Deadline& deadline) const;

 private:
  int fd_;
};

// `type`: SOCK_STREAM or SOCK_DGRAM.
StatusOr<Socket> Connect(const IpAddress& address, int port, int type,
                         std::chrono::milliseconds timeout);
// All interfaces of both families where the machine has IPv6, else of IPv4; or loopback only.
StatusOr<Socket> Listen(int port, bool loopback_only);
// Who called; nothing has been read yet.
StatusOr<Socket> Accept(const Socket& listener, IpAddress* caller);
// Of a listening socket.
int PortOf(const Socket& socket);

}  // namespace capstan
