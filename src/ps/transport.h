// Requests to peers: bytes out, bytes back. Two forms: gRPC, and in-process, which is also the
// seeded lossy network of tests.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "base/status.h"

namespace capstan {

// What a request asks for; the name of the gRPC method.
enum class Method : int {
  kHello = 0,  // anyone → anyone: who are you
  kSetup,      // chief → server: the model, before the first kBegin
  kPull,       // worker → server
  kPush,       // worker → server
  kControl,    // chief → server: cut, restore, end
  kLease,      // worker → chief: give me work, here is what I did
  kFile,       // server → chief: parts of checkpoints, when it does not see the chief's folder
};
constexpr int kMethodCount = 7;

using Reply = std::function<void(StatusOr<std::string>)>;

// The serving side of a task. Handle may be called from several threads at once and must call
// `reply` exactly once, then or later, from any thread.
class RequestHandler {
 public:
  virtual ~RequestHandler() = default;
  virtual void Handle(Method method, std::string request, Reply reply) = 0;
};

// The calling side. Thread-safe. `done` is called exactly once, from any thread: with the answer;
// with the handler's status; with kUnavailable when the peer was not reached or was lost on the way
// (the request may or may not have been handled); or with kDeadlineExceeded.
class Transport {
 public:
  virtual ~Transport() = default;
  virtual void Call(const std::string& address, Method method, std::string request,
                    std::chrono::milliseconds deadline, Reply done) = 0;
};

}  // namespace capstan
