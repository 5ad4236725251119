#include "net/http_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "net/status_routes.h"

namespace capstan {
namespace {

// A plain socket to the server. Reads end after 20 s at the latest, so that a server that hangs
// fails the test.
class Client {
 public:
  explicit Client(int port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const timeval limit{.tv_sec = 20};
    setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<uint16_t>(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  }
  ~Client() { close(fd_); }
  bool connected() const { return connected_; }

  void Send(const std::string& bytes) { send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
  // Until `end` has come, or the server has closed.
  std::string Receive(const std::string& end = "") {
    std::string bytes;
    char buffer[4096];
    while (end.empty() || bytes.find(end) == std::string::npos) {
      const ssize_t size = recv(fd_, buffer, sizeof(buffer), 0);
      if (size == 0) break;
      if (size < 0) return bytes + (errno == ECONNRESET ? "" : "<timeout>");
      bytes.append(buffer, static_cast<size_t>(size));
    }
    return bytes;
  }

 private:
  const int fd_;
  bool connected_;
};

std::string Ask(int port, const std::string& request) {
  Client client(port);
  client.Send(request);
  return client.Receive();
}

std::string Get(int port, const std::string& path) {
  return Ask(port, "GET " + path + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class HttpServerTest : public testing::Test {
 protected:
  void Start(HttpServerOptions options = {}) {
    options.host = "127.0.0.1";
    auto server = HttpServer::Start(
        options, {{"/hello", [] { return HttpResponse{.body = "hello\n"}; }},
                  {"/big", [] { return HttpResponse{.body = std::string(5'000'000, 'x')}; }}});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    port_ = server_->port();
  }
  std::unique_ptr<HttpServer> server_;
  int port_ = 0;
};

TEST_F(HttpServerTest, GetHeadAndUnknownPath) {
  Start();
  const std::string hello = Get(port_, "/hello?query=1");
  EXPECT_TRUE(Contains(hello, "HTTP/1.1 200 OK\r\n")) << hello;
  EXPECT_TRUE(Contains(hello, "Content-Type: text/plain; charset=utf-8\r\n")) << hello;
  EXPECT_TRUE(hello.ends_with("\r\n\r\nhello\n")) << hello;
  const std::string head =
      Ask(port_, "HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(Contains(head, "Content-Length: 6\r\n")) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
  const std::string unknown = Get(port_, "/other");
  EXPECT_TRUE(Contains(unknown, "HTTP/1.1 404 ")) << unknown;
  EXPECT_TRUE(Contains(unknown, "/hello\n")) << unknown;
  EXPECT_GT(Get(port_, "/big").size(), 5'000'000u);
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequests) {
  Start();
  Client client(port_);
  for (int i = 0; i < 3; ++i) {
    client.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(Contains(client.Receive("hello\n"), "200 OK"));
  }
  client.Send("GET /hello HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(Contains(client.Receive(), "200 OK"));  // and closed
}

TEST_F(HttpServerTest, BadMethods) {
  Start();
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "TRACE"}) {
    const std::string answer = Ask(
        port_, std::string(method) + " /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(Contains(answer, "HTTP/1.1 405 ")) << answer;
    EXPECT_TRUE(Contains(answer, "Allow: GET, HEAD\r\n")) << answer;
  }
  // With a body, the connection is closed behind the answer.
  EXPECT_TRUE(Contains(
      Ask(port_, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"), " 405 "));
  EXPECT_TRUE(Contains(Ask(port_, "GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
                       " 413 "));
}

TEST_F(HttpServerTest, WhatIsNotHttp) {
  Start();
  for (const char* text : {"hello\r\n\r\n", "GET\r\n\r\n", "GET /hello HTTP/9.9\r\n\r\n",
                           "GET /hello HTTP/1.1\r\nno colon\r\n\r\n", "\x16\x03\x01\x02\r\n\r\n",
                           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    const std::string answer = Ask(port_, text);
    EXPECT_TRUE(Contains(answer, "HTTP/1.1 400 ")) << text << ": " << answer;
  }
  EXPECT_TRUE(Contains(Get(port_, "/hello"), "200 OK"));
}

TEST_F(HttpServerTest, HugeHeads) {
  Start();
  const std::string answer =
      Ask(port_, "GET /hello HTTP/1.1\r\nX: " + std::string(100'000, 'a') + "\r\n\r\n");
  EXPECT_FALSE(Contains(answer, "200 OK")) << answer;
  EXPECT_FALSE(Contains(answer, "<timeout>")) << answer;
  const std::string path = Get(port_, "/" + std::string(9000, 'a'));
  EXPECT_FALSE(Contains(path, "<timeout>")) << path;
  EXPECT_TRUE(Contains(Get(port_, "/hello"), "200 OK"));
}

TEST_F(HttpServerTest, PartialRequestsAreClosedInTime) {
  Start({.timeout = std::chrono::milliseconds(50)});
  Client silent(port_), partial(port_);
  partial.Send("GET /hello HTTP/1.1\r\nHost: ");
  EXPECT_EQ(silent.Receive(), "");
  EXPECT_EQ(partial.Receive(), "");
  EXPECT_TRUE(Contains(Get(port_, "/hello"), "200 OK"));
}

TEST_F(HttpServerTest, ClientsThatGoAway) {
  Start();
  for (int i = 0; i < 20; ++i) {
    Client client(port_);
    client.Send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    if (i % 2 == 0) client.Receive("200 OK");
  }
  EXPECT_TRUE(Contains(Get(port_, "/hello"), "200 OK"));
}

TEST_F(HttpServerTest, OneConnectionTooMany) {
  Start({.max_connections = 2});
  Client first(port_), second(port_);
  first.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(Contains(first.Receive("hello\n"), "200 OK"));
  second.Send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(Contains(second.Receive("hello\n"), "200 OK"));
  EXPECT_EQ(Client(port_).Receive(), "");
}

TEST_F(HttpServerTest, ConcurrentRequests) {
  Start();
  std::atomic<int> answered = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 25; ++k) answered += Contains(Get(port_, "/hello"), "200 OK");
    });
  }
  threads.clear();
  EXPECT_EQ(answered, 200);
}

TEST_F(HttpServerTest, StopClosesOpenConnections) {
  Start();
  Client idle(port_), partial(port_), reading(port_);
  partial.Send("GET /hel");
  reading.Send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
  reading.Receive("200 OK");
  server_->Stop();
  server_->Stop();
  EXPECT_FALSE(Contains(idle.Receive(), "<timeout>"));
  EXPECT_FALSE(Contains(partial.Receive(), "<timeout>"));
  EXPECT_FALSE(Contains(reading.Receive(), "<timeout>"));
  EXPECT_FALSE(Client(port_).connected());
}

TEST_F(HttpServerTest, TheSecondOnAPort) {
  Start();
  auto second = HttpServer::Start({.host = "127.0.0.1", .port = port_}, {});
  ASSERT_FALSE(second.ok());
  EXPECT_TRUE(Contains(Message(second.status()), "in use")) << second.status();
  EXPECT_TRUE(Contains(Message(second.status()), std::to_string(port_))) << second.status();
  EXPECT_FALSE(HttpServer::Start({.host = "no address"}, {}).ok());
  EXPECT_FALSE(HttpServer::Start({.port = 70'000}, {}).ok());
}

TEST_F(HttpServerTest, AllInterfaces) {
  auto server = HttpServer::Start({}, {{"/x", [] { return HttpResponse{.body = "x"}; }}});
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_TRUE(Contains(Get((*server)->port(), "/x"), "200 OK"));
}

TEST(StatusRoutesTest, MetricsAndHealth) {
  int asked = 0;
  StatusOr<std::string> health = std::string("ok");
  auto server =
      HttpServer::Start({.host = "127.0.0.1"}, {{"/metrics", MetricsRoute([&](MetricsPage* page) {
                                                   page->Gauge("rows", "Rows.", ++asked);
                                                 })},
                                                {"/healthz", HealthRoute([&] { return health; })}});
  ASSERT_TRUE(server.ok()) << server.status();
  const int port = (*server)->port();
  EXPECT_TRUE(Contains(Get(port, "/metrics"), "rows 1\n"));
  const std::string text = Get(port, "/metrics");
  EXPECT_TRUE(Contains(text, "rows 2\n")) << text;
  EXPECT_TRUE(Contains(text, "text/plain; version=0.0.4")) << text;
  EXPECT_TRUE(Get(port, "/healthz").ends_with("\nok\n"));
  health = "waits for ps 1";
  const std::string waiting = Get(port, "/healthz");
  EXPECT_TRUE(Contains(waiting, "HTTP/1.1 200 ")) << waiting;
  EXPECT_TRUE(waiting.ends_with("waits for ps 1\n")) << waiting;
  health = Error("the disk is gone");
  const std::string ill = Get(port, "/healthz");
  EXPECT_TRUE(Contains(ill, "HTTP/1.1 503 ")) << ill;
  EXPECT_TRUE(ill.ends_with("the disk is gone\n")) << ill;
}

}  // namespace
}  // namespace capstan
