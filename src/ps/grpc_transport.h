// Requests to peers over gRPC: one connection per address, made at the first call and made again
// whenever it is lost; names are resolved anew each time. Messages are the bytes as given: nothing
// is compressed, and an answer is copied once, from gRPC's slices into the string.
#pragma once

#include <memory>
#include <string>

#include "net/link_security.h"
#include "ps/grpc_options.h"
#include "ps/transport.h"

namespace capstan {

// `done` runs on one of gRPC's few threads, which all calls and servers of the process share: it
// must not wait for another call.
//
// Codes of calls that did not reach the peer's handler or lost its answer: kUnavailable (at once
// when nothing listens there), kDeadlineExceeded, kUnauthenticated (no token or another one),
// kResourceExhausted (a message over the limit), kUnimplemented (no task of capstan, or another
// version of it). Their messages name address and method. The handler's own status comes as it was.
class GrpcTransport : public Transport {
 public:
  explicit GrpcTransport(const LinkSecurity& security, const GrpcOptions& options = {});
  // Cancels what is in flight (kCancelled) and waits for its `done`s; not from one of them.
  ~GrpcTransport() override;

  void Call(const std::string& address, Method method, std::string request,
            std::chrono::milliseconds deadline, Reply done) override;

 private:
  struct Rep;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
