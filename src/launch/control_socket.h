// A socket of one word's questions between processes of one user: a line there, a line back.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"

namespace capstan {

class ControlSocket {
 public:
  // Listens at `path`, of any length, in a folder that only this user may enter.
  static StatusOr<std::unique_ptr<ControlSocket>> Listen(const std::string& path);
  ~ControlSocket();

  int fd() const { return fd_; }  // readable when somebody asks
  // Takes one question; waits for it no longer than a second.
  void Answer(const std::function<std::string(const std::string& question)>& answer);

 private:
  explicit ControlSocket(int fd) : fd_(fd) {}
  const int fd_;
};

// kUnavailable when nobody listens there or answers within ten seconds.
StatusOr<std::string> AskControl(const std::string& path, const std::string& question);

}  // namespace capstan
