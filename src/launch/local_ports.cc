#include "launch/local_ports.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace capstan {
namespace {

constexpr int kFirst = 10'000, kLast = 32'000, kTries = 1'000;

bool IsFree(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  // What waits for the last packets of a closed connection does not count.
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool is_free = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  ::close(fd);
  return is_free;
}

}  // namespace

StatusOr<int> LocalPorts::Choose() {
  for (int i = 0; i < kTries; ++i) {
    const int port = kFirst + static_cast<int>(random_.Below(kLast - kFirst));
    if (given_.contains(port) || !IsFree(port)) continue;
    given_.insert(port);
    return port;
  }
  return MakeStatus(absl::StatusCode::kUnavailable,
                    fmt::format("no free port of 127.0.0.1 between {} and {}", kFirst, kLast));
}

}  // namespace capstan
