#include "net/object_watch.h"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <atomic>

#include "net/scripted_server.h"

namespace capstan {
namespace {

using Request = ScriptedServer::Request;

std::string Pod(const std::string& name, int version) {
  return fmt::format(R"({{"metadata": {{"name": "{}", "resourceVersion": "{}"}}}})", name, version);
}

std::string Event(const std::string& type, const std::string& object) {
  return fmt::format(R"({{"type": "{}", "object": {}}})", type, object) + "\n";
}

class ObjectWatchTest : public testing::Test {
 protected:
  // `handler` gets the watches; lists give `listed_`, as of version 5.
  void Start(ScriptedServer::Handler handler) {
    server_ = std::make_unique<ScriptedServer>([this, handler](const Request& request) {
      if (request.target == "/version") {
        request.Reply(200, R"({"major": "1", "minor": "30", "gitVersion": "v1.30.0"})");
      } else if (request.target == "/api/v1") {
        request.Reply(200, R"({"resources": [{"name": "pods", "kind": "Pod"}]})");
      } else if (request.target.find("watch=true") != std::string::npos) {
        request.Send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        return handler(request);
      } else if (request.target.find("/pods?") != std::string::npos) {
        request.Reply(
            200, R"({"metadata": {"resourceVersion": "5"}, "items": [)" + Pod(listed_, 3) + "]}");
      } else {
        request.Reply(200, "{}");
      }
      return true;
    });
    KubeConnection connection;
    connection.server = server_->url();
    connection.namespace_name = "n";
    auto client = KubernetesClient::Connect(connection, {.fs = fs_.get(), .clock = &clock_});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::move(*client);
    watch_ = std::make_unique<ObjectWatch>(client_.get(), "v1", "Pod", "job=x");
  }
  ~ObjectWatchTest() override { watch_.reset(); }

  // Until the watch has these objects.
  void Await(const std::vector<std::string>& names) {
    for (int i = 0; i < 500 && Names() != names; ++i) {
      ASSERT_TRUE(watch_->Advance().ok());
      client_->Poll(std::chrono::milliseconds(20));
      clock_.Advance(std::chrono::milliseconds(20));
    }
    EXPECT_EQ(Names(), names);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& [name, text] : watch_->objects()) names.push_back(name);
    return names;
  }
  size_t Count(const std::string& part) {
    size_t count = 0;
    for (const std::string& request : server_->requests()) {
      count += request.find(part) != std::string::npos ? 1 : 0;
    }
    return count;
  }

  const std::unique_ptr<FileSystem> fs_ = NewLocalFileSystem();
  ManualClock clock_;
  std::string listed_ = "a";
  // Requests to watch so far. The server's threads outlive the test's body.
  std::atomic<int> watches_{0};
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<KubernetesClient> client_;
  std::unique_ptr<ObjectWatch> watch_;
};

TEST_F(ObjectWatchTest, FollowsEventsAndGoesOnBehindTheLastBookmark) {
  Start([this](const Request& request) {
    if (++watches_ == 1) {
      // Cut into pieces in the middle of an event; the connection is cut in the middle of another.
      const std::string added = Event("ADDED", Pod("b", 6));
      request.Send(added.substr(0, 10));
      request.Send(added.substr(10) + Event("DELETED", Pod("a", 7)) +
                   Event("BOOKMARK", Pod("", 9)) + R"({"type": "DEL)");
    } else if (watches_ == 2) {
      request.Send(Event("ADDED", Pod("c", 10)));
    } else {
      char byte;
      recv(request.fd, &byte, 1, 0);
    }
    return false;
  });
  Await({"b", "c"});
  EXPECT_TRUE(watch_->TakeChanged());
  EXPECT_FALSE(watch_->TakeChanged());
  EXPECT_EQ(Count("resourceVersion=5"), 1u);
  EXPECT_EQ(Count("resourceVersion=9"), 1u);
  EXPECT_EQ(Count("limit="), 1u);
}

TEST_F(ObjectWatchTest, ListsAgainWhenItsPlaceIsGone) {
  Start([this](const Request& request) {
    if (++watches_ == 1) {
      listed_ = "z";
      request.Send(Event("ADDED", Pod("b", 6)) +
                   Event("ERROR", R"({"kind": "Status", "code": 410, "reason": "Expired"})"));
      return false;
    }
    char byte;
    recv(request.fd, &byte, 1, 0);
    return false;
  });
  Await({"z"});
  EXPECT_EQ(Count("limit="), 2u);
}

}  // namespace
}  // namespace capstan
