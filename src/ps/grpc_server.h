// The serving end of GrpcTransport: hands requests to a RequestHandler, and answers gRPC's health
// service (grpc.health.v1.Health, which asks for no token).
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "net/link_security.h"
#include "ps/grpc_options.h"
#include "ps/transport.h"

namespace capstan {

class GrpcServer {
 public:
  // Listens on "0.0.0.0:2222"; port 0 takes any free one. `handler` must live until Stop has
  // returned; its Handle runs on one of gRPC's few threads and must not wait. Errors: the port is
  // taken (also by another server of this program), or anyone could call (CheckListen).
  static StatusOr<std::unique_ptr<GrpcServer>> Start(const std::string& address,
                                                     RequestHandler* handler,
                                                     const LinkSecurity& security,
                                                     const GrpcOptions& options = {});
  ~GrpcServer();  // Stop with no grace

  int port() const { return port_; }
  // What the health service says; true from the start.
  void SetServing(bool serving);

  // No new calls; those in flight have `grace` to be answered, then their callers see
  // kUnavailable. Returns when none is left. A Reply may be called after that; it does nothing.
  void Stop(std::chrono::milliseconds grace);

 private:
  struct Rep;
  GrpcServer(std::unique_ptr<Rep> rep, int port);
  const std::unique_ptr<Rep> rep_;
  const int port_;
};

}  // namespace capstan
