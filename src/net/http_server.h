// A small read-only HTTP/1.1 server for machines that watch a task: GET and HEAD of fixed paths.
//
// One thread of its own, on which handlers run one at a time. Anyone may connect: heads of requests
// are bounded in size and time, connections in number, and requests with a body are refused.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/status.h"

namespace capstan {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

struct HttpServerOptions {
  std::string host;              // IP address to listen on; "": all interfaces, IPv6 and IPv4
  int port = 0;                  // 0: any free one
  int max_connections = 64;      // one more is closed at once
  size_t max_head_bytes = 8192;  // request line and headers
  std::chrono::milliseconds timeout{10'000};  // for a request to arrive whole, and to be answered
};

class HttpServer {
 public:
  using Handler = std::function<HttpResponse()>;

  // `routes`: path → handler; a query behind the path is ignored. Handlers must be quick and must
  // live until Stop.
  static StatusOr<std::unique_ptr<HttpServer>> Start(const HttpServerOptions& options,
                                                     std::map<std::string, Handler> routes);
  ~HttpServer();  // Stop

  int port() const { return port_; }
  // Closes all connections; waits for at most the handler that runs. Not from a handler.
  void Stop();

 private:
  struct Rep;
  explicit HttpServer(std::unique_ptr<Rep> rep);
  std::unique_ptr<Rep> rep_;  // null: stopped
  const int port_;
};

}  // namespace capstan
