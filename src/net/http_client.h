// An HTTP/1.1 client for APIs (Kubernetes, Docker's unix socket): whole replies, and streams that
// are read as they come.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace capstan {

// Each of the three as a path, or as PEM text, which counts if both are given.
struct HttpTls {
  std::string ca_file, ca;      // "": the system's authorities
  std::string cert_file, cert;  // own certificate: needs a key
  std::string key_file, key;
  std::string server_name;  // that the server's certificate must carry; "": the URL's host
  bool insecure = false;    // the server's certificate is not checked
};

struct HttpClientOptions {
  std::string unix_socket;  // connect to this instead of the URL's host
  HttpTls tls;
  std::string proxy;     // "http://host:port", "https://…", "socks5://…"; "": none
  std::string no_proxy;  // comma list of hosts without it
  std::chrono::milliseconds connect_timeout{10'000};
};

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::chrono::milliseconds timeout{60'000};  // of all of it; 0: none
  // The longest time without a byte, once connected, at least 1 s; 0: any.
  std::chrono::seconds idle_timeout{0};
  size_t max_body_bytes = size_t{64} << 20;
  // With it, bodies of 2xx replies are handed over in pieces, not kept, and may be of any length.
  // False ends the request, which is then no error.
  std::function<bool(std::string_view)> on_body;
  // Asked a few times a second; true ends the request with kCancelled.
  std::function<bool()> stop;
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case; the last of a name
  std::string body;
  bool stopped = false;  // by on_body

  bool ok() const { return status / 100 == 2; }
  std::string_view Header(const std::string& name) const;  // "" if it is not there
};

// One thread at a time. Connections are kept for the next request. Redirects are not followed.
class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();  // ends what runs; no callback is called
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Any reply of the server is OK, also 404 or 500. An error names method, host and path, never a
  // query or a header: kUnavailable (no connection, cut in the middle), kDeadlineExceeded,
  // kFailedPrecondition (TLS: the peers do not trust each other), kResourceExhausted (too long),
  // kCancelled (`stop`), kInvalidArgument (URL, unreadable files).
  StatusOr<HttpReply> Send(const HttpRequest& request);

  // Requests that run side by side: they go on in Poll alone, where all their callbacks are called.
  // A callback must not call the client.
  using DoneFunction = std::function<void(StatusOr<HttpReply>)>;
  int Start(HttpRequest request, DoneFunction done);
  void Cancel(int id);  // `done` is not called; an id that has ended is ignored
  // Moves bytes for up to `timeout`; returns as soon as a request has moved. 0: what is there.
  void Poll(std::chrono::milliseconds timeout);
  size_t running() const;
  // For requests from now on.
  void SetTls(HttpTls tls);

 private:
  struct Rep;
  const std::unique_ptr<Rep> rep_;
};

// "a b/c" → "a%20b%2Fc": for values of queries and parts of paths.
std::string PercentEncode(std::string_view text);

}  // namespace capstan
