// For tests: an HTTP server that answers as it is told, also badly.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/mutex.h"

namespace capstan {

class ScriptedServer {
 public:
  // One request, head and body as they came, and the connection to write to. True: the connection
  // stays open for another request.
  struct Request {
    std::string method, target, head, body;
    int fd;
    void Send(const std::string& bytes) const;
    // A whole reply with its length.
    void Reply(int status, const std::string& body, const std::string& headers = "") const;
    std::string Header(const std::string& name) const;  // exact name; "" if absent
  };
  using Handler = std::function<bool(const Request&)>;

  // On 127.0.0.1, or on a unix socket if a path is given. One connection at a time.
  explicit ScriptedServer(Handler handler, const std::string& unix_socket = "");
  ~ScriptedServer();

  int port() const { return port_; }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  // "GET /path", in order.
  std::vector<std::string> requests() EXCLUDES(mutex_);

 private:
  void Run();
  void Serve(int fd);

  const Handler handler_;
  int listener_ = -1;
  int port_ = 0;
  Mutex mutex_;
  std::vector<std::string> requests_ GUARDED_BY(mutex_);
  std::vector<int> connections_ GUARDED_BY(mutex_);
  bool stopping_ GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;
  std::jthread thread_;
};

}  // namespace capstan
