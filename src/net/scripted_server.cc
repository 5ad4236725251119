#include "net/scripted_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace capstan {

void ScriptedServer::Request::Send(const std::string& bytes) const {
  send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void ScriptedServer::Request::Reply(int status, const std::string& text,
                                    const std::string& headers) const {
  Send(fmt::format("HTTP/1.1 {} Words\r\nContent-Length: {}\r\n{}\r\n{}", status, text.size(),
                   headers, text));
}

std::string ScriptedServer::Request::Header(const std::string& name) const {
  const size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const size_t from = at + name.size() + 4;
  return head.substr(from, head.find("\r\n", from) - from);
}

ScriptedServer::ScriptedServer(Handler handler, const std::string& unix_socket)
    : handler_(std::move(handler)) {
  if (unix_socket.empty()) {
    listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  } else {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{.sun_family = AF_UNIX};
    std::strncpy(address.sun_path, unix_socket.c_str(), sizeof(address.sun_path) - 1);
    bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof(address));
  }
  listen(listener_, 16);
  thread_ = std::jthread([this] { Run(); });
}

ScriptedServer::~ScriptedServer() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    for (const int fd : connections_) shutdown(fd, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  threads_.clear();
  close(listener_);
}

std::vector<std::string> ScriptedServer::requests() {
  MutexLock lock(&mutex_);
  return requests_;
}

void ScriptedServer::Run() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    {
      MutexLock lock(&mutex_);
      if (stopping_) shutdown(fd, SHUT_RDWR);
      connections_.push_back(fd);
    }
    threads_.emplace_back([this, fd] { Serve(fd); });
  }
}

void ScriptedServer::Serve(int fd) {
  std::string bytes;
  char buffer[4096];
  for (bool open = true; open;) {
    size_t end;
    while ((end = bytes.find("\r\n\r\n")) == std::string::npos) {
      const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
      if (size <= 0) break;
      bytes.append(buffer, static_cast<size_t>(size));
    }
    if (end == std::string::npos) break;
    Request request{.head = bytes.substr(0, end + 2), .fd = fd};
    request.method = bytes.substr(0, bytes.find(' '));
    const size_t target = request.method.size() + 1;
    request.target = bytes.substr(target, bytes.find(' ', target) - target);
    const size_t length = std::strtoul(request.Header("Content-Length").c_str(), nullptr, 10);
    bytes.erase(0, end + 4);
    while (bytes.size() < length) {
      const ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
      if (size <= 0) break;
      bytes.append(buffer, static_cast<size_t>(size));
    }
    request.body = bytes.substr(0, length);
    bytes.erase(0, length);
    {
      MutexLock lock(&mutex_);
      requests_.push_back(request.method + " " + request.target);
    }
    open = handler_(request);
  }
  MutexLock lock(&mutex_);
  std::erase(connections_, fd);
  close(fd);
}

}  // namespace capstan
