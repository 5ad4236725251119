#include "ps/byte_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace capstan {
namespace {

sockaddr_in Loopback(int port) {
  sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Connect(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = Loopback(port);
  connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  return fd;
}

// False at the end of the stream.
bool Forward(int from, int to) {
  char buffer[65536];
  const ssize_t size = recv(from, buffer, sizeof(buffer), 0);
  return size > 0 && send(to, buffer, static_cast<size_t>(size), MSG_NOSIGNAL) == size;
}

}  // namespace

ByteRelay::ByteRelay(int to_port) : to_port_(to_port), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  bind(listener_, reinterpret_cast<const sockaddr*>(&address), size);
  listen(listener_, 16);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

ByteRelay::~ByteRelay() {
  ending_ = true;
  thread_.join();
  for (const auto& [a, b] : pairs_) {
    close(a);
    close(b);
  }
  close(listener_);
}

void ByteRelay::Run() {
  while (!ending_) {
    std::vector<pollfd> fds = {{.fd = listener_, .events = POLLIN}};
    if (!frozen_) {
      for (const auto& [a, b] : pairs_) {
        fds.push_back({.fd = a, .events = POLLIN});
        fds.push_back({.fd = b, .events = POLLIN});
      }
    }
    poll(fds.data(), fds.size(), 10);
    std::vector<std::pair<int, int>> open;
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const auto [a, b] = pairs_[i];
      const size_t at = 1 + 2 * i;
      const bool alive = at >= fds.size() || ((fds[at].revents == 0 || Forward(a, b)) &&
                                              (fds[at + 1].revents == 0 || Forward(b, a)));
      if (alive) {
        open.push_back({a, b});
      } else {
        close(a);
        close(b);
      }
    }
    pairs_ = std::move(open);
    if (fds[0].revents != 0)
      pairs_.push_back({accept(listener_, nullptr, nullptr), Connect(to_port_)});
  }
}

void SendRaw(int port, const std::string& bytes) {
  const int fd = Connect(port);
  const timeval limit{.tv_sec = 1};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  char buffer[4096];
  for (int i = 0; i < 100 && recv(fd, buffer, sizeof(buffer), 0) > 0; ++i) {
  }
  close(fd);
}

}  // namespace capstan
