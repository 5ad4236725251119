#include "net/http_client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>

#include "net/http_server.h"
#include "net/scripted_server.h"

namespace capstan {
namespace {

using Request = ScriptedServer::Request;

bool Contains(const Status& status, const std::string& part) {
  return Message(status).find(part) != std::string::npos;
}

TEST(HttpClientTest, SendsMethodHeadersAndBodyAndReadsTheReply) {
  ScriptedServer server([](const Request& request) {
    request.Reply(201, request.method + " " + request.Header("X-One") + " " + request.body,
                  "X-Two: a b \r\n");
    return true;
  });
  HttpClient client({});
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    const auto reply = client.Send({.method = method,
                                    .url = server.url() + "/path?a=b",
                                    .headers = {{"X-One", "1"}},
                                    .body = "words"});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->status, 201);
    EXPECT_TRUE(reply->ok());
    EXPECT_EQ(reply->body, method + " 1 words");
    EXPECT_EQ(reply->Header("x-two"), "a b");
    EXPECT_EQ(reply->Header("x-three"), "");
  }
  EXPECT_EQ(server.requests().front(), "POST /path?a=b");
}

TEST(HttpClientTest, OurServerAnswersIt) {
  auto server = HttpServer::Start({.host = "127.0.0.1"},
                                  {{"/x", [] { return HttpResponse{.body = "fine"}; }}});
  ASSERT_TRUE(server.ok());
  HttpClient client({});
  const std::string url = "http://127.0.0.1:" + std::to_string((*server)->port());
  EXPECT_EQ(client.Send({.url = url + "/x"})->body, "fine");
  EXPECT_EQ(client.Send({.url = url + "/y"})->status, 404);
  EXPECT_EQ(client.Send({.method = "HEAD", .url = url + "/x"})->body, "");
}

TEST(HttpClientTest, UnixSocket) {
  const std::string path = testing::TempDir() + "/http_client_test.socket";
  std::filesystem::remove(path);
  {
    ScriptedServer server(
        [](const Request& request) {
          request.Reply(200, request.Header("Host"));
          return true;
        },
        path);
    HttpClient client({.unix_socket = path});
    const auto reply = client.Send({.url = "http://docker/version"});
    ASSERT_TRUE(reply.ok()) << reply.status();
    EXPECT_EQ(reply->body, "docker");
  }
  HttpClient client({.unix_socket = path + "-gone"});
  const Status status = client.Send({.url = "http://docker/version"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Contains(status, "GET http://docker/version through " + path + "-gone")) << status;
}

TEST(HttpClientTest, NobodyListensAndNoSuchHost) {
  HttpClient client({});
  Status status = client.Send({.url = "http://127.0.0.1:1/path?token=secret"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Contains(status, "GET http://127.0.0.1:1/path: ")) << status;
  EXPECT_FALSE(Contains(status, "secret")) << status;
  status = client.Send({.url = "gopher://127.0.0.1/"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(HttpClientTest, CutInTheMiddle) {
  ScriptedServer server([](const Request& request) {
    request.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
    return false;
  });
  HttpClient client({});
  const Status status = client.Send({.url = server.url()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
}

TEST(HttpClientTest, ALongReplyIsRefused) {
  ScriptedServer server([](const Request& request) {
    request.Reply(200, std::string(1001, 'x'));
    return true;
  });
  HttpClient client({});
  EXPECT_TRUE(client.Send({.url = server.url(), .max_body_bytes = 1001}).ok());
  const Status status = client.Send({.url = server.url(), .max_body_bytes = 1000}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Contains(status, "longer than 1000 bytes")) << status;
}

TEST(HttpClientTest, TimeoutAndStop) {
  ScriptedServer server([](const Request& request) {
    char byte;
    recv(request.fd, &byte, 1, 0);  // until the client is gone
    return false;
  });
  HttpClient client({});
  Status status =
      client.Send({.url = server.url(), .timeout = std::chrono::milliseconds(50)}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded) << status;
  status = client.Send({.url = server.url(), .stop = [] { return true; }}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
}

TEST(HttpClientTest, StreamsEndWhenTheReaderHasEnough) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/no") {
      request.Reply(404, "no such thing");
      return true;
    }
    request.Send("HTTP/1.1 200 OK\r\n\r\none\ntwo\n");
    char byte;
    recv(request.fd, &byte, 1, 0);
    return false;
  });
  HttpClient client({});
  std::string got;
  HttpRequest request{.url = server.url(), .on_body = [&](std::string_view bytes) {
                        got += bytes;
                        return got.find("two") == std::string::npos;
                      }};
  auto reply = client.Send(request);
  ASSERT_TRUE(reply.ok()) << reply.status();
  EXPECT_TRUE(reply->stopped);
  EXPECT_EQ(got, "one\ntwo\n");
  request.url += "/no";
  reply = client.Send(request);
  EXPECT_EQ(reply->status, 404);
  EXPECT_EQ(reply->body, "no such thing");
}

TEST(HttpClientTest, RequestsSideBySide) {
  ScriptedServer server([](const Request& request) {
    if (request.target == "/slow") {
      char byte;
      recv(request.fd, &byte, 1, 0);
      return false;
    }
    request.Reply(200, request.target);
    return true;
  });
  HttpClient client({});
  std::vector<std::string> done;
  const auto take = [&](StatusOr<HttpReply> reply) {
    done.push_back(reply.ok() ? reply->body : Message(reply.status()));
  };
  const int slow = client.Start({.url = server.url() + "/slow"}, take);
  client.Start({.url = server.url() + "/a"}, take);
  client.Start({.url = server.url() + "/b"}, take);
  while (done.size() < 2) client.Poll(std::chrono::milliseconds(100));
  EXPECT_EQ(done.size(), 2u);
  EXPECT_EQ(client.running(), 1u);
  EXPECT_EQ(client.Send({.url = server.url() + "/c"})->body, "/c");
  client.Cancel(slow);
  client.Cancel(slow);
  EXPECT_EQ(client.running(), 0u);
  client.Poll(std::chrono::milliseconds(0));
  client.Start({.url = server.url() + "/slow"}, take);  // ends with the client
}

TEST(HttpClientTest, PercentEncode) {
  EXPECT_EQ(PercentEncode("a-b_c.d~ /=é"), "a-b_c.d~%20%2F%3D%C3%A9");
}

}  // namespace
}  // namespace capstan
