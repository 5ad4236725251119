// What a real API server cannot be made to do on demand. All else is shown on a real cluster
// (tests/kubernetes).
#include "net/kubernetes_client.h"

#include <gtest/gtest.h>

#include <fstream>

#include "net/scripted_server.h"

namespace capstan {
namespace {

using Request = ScriptedServer::Request;

constexpr char kBatch[] = R"({"kind": "APIResourceList", "groupVersion": "batch/v1", "resources": [
    {"name": "jobs", "kind": "Job", "namespaced": true},
    {"name": "jobs/status", "kind": "Job", "namespaced": true}]})";

bool Contains(const Status& status, const std::string& part) {
  return Message(status).find(part) != std::string::npos;
}

class KubernetesClientTest : public testing::Test {
 protected:
  // `handler` answers what comes after the version and the groups.
  void Connect(ScriptedServer::Handler handler, KubeConnection connection = {}) {
    server_ = std::make_unique<ScriptedServer>([handler](const Request& request) {
      if (request.target == "/version") {
        request.Reply(200, R"({"major": "1", "minor": "27+", "gitVersion": "v1.27.3-x"})");
      } else if (request.target == "/api" || request.target == "/apis") {
        request.Reply(200, R"({"kind": "APIGroupList"})");
      } else if (request.target == "/apis/batch/v1") {
        request.Reply(200, kBatch);
      } else {
        return handler(request);
      }
      return true;
    });
    connection.server = server_->url();
    connection.namespace_name = "clicks";
    auto client = KubernetesClient::Connect(
        connection, {.fs = fs_.get(), .clock = &clock_, .sleep = [this](auto wait) {
                       slept_.push_back(wait.count());
                     }});
    ASSERT_TRUE(client.ok()) << client.status();
    client_ = std::move(*client);
  }

  const std::unique_ptr<FileSystem> fs_ = NewLocalFileSystem();
  ManualClock clock_;
  std::vector<int64_t> slept_;
  std::unique_ptr<ScriptedServer> server_;
  std::unique_ptr<KubernetesClient> client_;
};

const ObjectName kJob = {"batch/v1", "Job", "j", ""};

TEST_F(KubernetesClientTest, GroupsAreAskedForOneByOneOnOldServers) {
  Connect([](const Request& request) {
    request.Reply(request.target == "/apis/policy/v1" ? 404 : 200, "{}");
    return true;
  });
  EXPECT_EQ(client_->version().minor, 27);
  EXPECT_TRUE(*client_->Has("batch/v1", "Job"));
  EXPECT_FALSE(*client_->Has("batch/v1", "CronJob"));
  EXPECT_FALSE(*client_->Has("policy/v1", "PodDisruptionBudget"));
  EXPECT_TRUE(client_->Get(kJob).ok());
  EXPECT_EQ(server_->requests().back(), "GET /apis/batch/v1/namespaces/clicks/jobs/j");
  const Status status = client_->Get({"policy/v1", "PodDisruptionBudget", "x", ""}).status();
  EXPECT_TRUE(Contains(status, "v1.27.3-x has no PodDisruptionBudget of policy/v1")) << status;
}

TEST_F(KubernetesClientTest, AggregatedGroups) {
  ApiResources resources;
  EXPECT_FALSE(*resources.AddAggregated(R"({"kind": "APIGroupList"})"));
  EXPECT_FALSE(resources.AddAggregated("no").ok());
  EXPECT_TRUE(*resources.AddAggregated(R"({"kind": "APIGroupDiscoveryList", "items": [
      {"metadata": {"name": "batch"}, "versions": [{"version": "v1", "freshness": "Current",
        "resources": [{"resource": "jobs", "responseKind": {"kind": "Job"}, "scope": "Namespaced"}]}]},
      {"metadata": {"name": "slow"}, "versions": [{"version": "v1", "freshness": "Stale"}]}]})"));
  ASSERT_NE(resources.Find("batch/v1", "Job"), nullptr);
  EXPECT_EQ(resources.Find("batch/v1", "Job")->Path("n", "x"),
            "/apis/batch/v1/namespaces/n/jobs/x");
  EXPECT_TRUE(resources.Knows("batch/v1"));
  EXPECT_FALSE(resources.Knows("slow/v1"));
}

TEST_F(KubernetesClientTest, WaitsAsLongAsTheServerSays) {
  int calls = 0;
  Connect([&calls](const Request& request) {
    if (++calls == 1) request.Reply(429, "", "Retry-After: 7\r\n");
    if (calls == 2) request.Reply(503, "busy");
    if (calls > 2) request.Reply(200, "{}");
    return true;
  });
  EXPECT_TRUE(client_->Get(kJob).ok());
  EXPECT_EQ(slept_, (std::vector<int64_t>{7000, 1000}));
}

TEST_F(KubernetesClientTest, GivesUpWhenTheServerWantsTooMuchPatience) {
  Connect([](const Request& request) {
    request.Reply(429, R"({"kind": "Status", "message": "too many requests"})",
                  "Retry-After: 40\r\n");
    return true;
  });
  const Status status = client_->Get(kJob).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(Message(status), "get Job j: too many requests");
  EXPECT_EQ(slept_, (std::vector<int64_t>{40000}));
}

TEST_F(KubernetesClientTest, ARotatedTokenIsReadAgain) {
  const std::string path = testing::TempDir() + "/kubernetes_client_test.token";
  std::ofstream(path) << "old";
  Connect(
      [](const Request& request) {
        const bool good = request.Header("Authorization") == "Bearer new";
        request.Reply(good ? 200 : 401, R"({"kind": "Status", "message": "Unauthorized"})");
        return true;
      },
      {.token_file = path});
  Status status = client_->Get(kJob).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Message(status), "get Job j: the server does not accept our credentials: Unauthorized");
  std::ofstream(path) << "new\n";
  status = client_->Get(kJob).status();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(KubernetesClientTest, CutRepliesAreAskedForAgain) {
  int calls = 0;
  Connect([&calls](const Request& request) {
    if (++calls < 3) {
      request.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half");
      return false;
    }
    request.Reply(200, "{}");
    return true;
  });
  EXPECT_TRUE(client_->Get(kJob).ok());
  calls = 0;
  server_.reset();
  const Status status = client_->Get(kJob).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(Contains(status, "get Job j: GET http://127.0.0.1:")) << status;
}

TEST_F(KubernetesClientTest, PagesOfAListThatGrowsOldBegunAgain) {
  bool old = true;
  Connect([&old](const Request& request) {
    const bool second = request.target.find("continue=next") != std::string::npos;
    if (second && old) {
      old = false;
      request.Reply(410, R"({"kind": "Status", "reason": "Expired", "message": "too old"})");
    } else if (second) {
      request.Reply(200, R"({"metadata": {"resourceVersion": "9"}, "items": [{"b": 1}]})");
    } else {
      request.Reply(200, R"({"metadata": {"continue": "next"}, "items": [{"a": 1}]})");
    }
    return true;
  });
  const auto list = client_->List("batch/v1", "Job", "app=x");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_EQ(list->resource_version, "9");
  ASSERT_EQ(list->objects.size(), 2u);
  EXPECT_EQ(list->objects[1], R"({"apiVersion":"batch/v1","b":1,"kind":"Job"})");
  EXPECT_EQ(server_->requests().back(),
            "GET /apis/batch/v1/namespaces/clicks/jobs?limit=500&labelSelector=app%3Dx"
            "&continue=next");
}

TEST_F(KubernetesClientTest, AppliesAndNamesWhatWasDropped) {
  Connect([](const Request& request) {
    request.Reply(200, R"({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"name": "j"},
                           "spec": {}})");
    return true;
  });
  const auto apply = [&](const std::string& spec) {
    return client_
        ->Apply(R"({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "j"}, "spec": )" +
                    spec + "}",
                {.dry_run = true})
        .status();
  };
  EXPECT_TRUE(apply("{}").ok());
  EXPECT_EQ(server_->requests().back(),
            "PATCH /apis/batch/v1/namespaces/clicks/jobs/j?fieldValidation=Strict"
            "&fieldManager=capstan&dryRun=All");
  const Status status = apply(R"({"completionMode": "Indexed"})");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Message(status),
            "apply Job j: server v1.27.3-x dropped spec.completionMode (of Kubernetes 1.24)");
}

TEST_F(KubernetesClientTest, ErrorsOfTheServerAreSentences) {
  EXPECT_EQ(StatusOfReply("x", {.status = 409, .body = R"({"reason": "AlreadyExists"})"}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Message(StatusOfReply("x", {.status = 502, .body = "<html>\nmore"})),
            "x: the server answered 502: <html>");
  EXPECT_EQ(Message(StatusOfReply("x", {.status = 500})), "x: the server answered 500");
}

}  // namespace
}  // namespace capstan
