#include "ps/grpc_transport.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <thread>
#include <vector>

#include "base/mutex.h"
#include "net/grpc_log.h"
#include "net/grpc_status.h"
#include "net/test_authority.h"
#include "ps/byte_relay.h"
#include "ps/grpc_server.h"

namespace capstan {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;

constexpr milliseconds kLong{60'000};
const LinkSecurity kNone;

// Hello: echo. Pull: as many bytes as the request says. Control: an error, "code message". Lease:
// kept for ReplyToAll. Push: the size of the request.
class TestHandler : public RequestHandler {
 public:
  void Handle(Method method, std::string request, Reply reply) override {
    switch (method) {
      case Method::kPull:
        return reply(std::string(std::stoull(request), 'a'));
      case Method::kPush:
        return reply(std::to_string(request.size()));
      case Method::kControl:
        return reply(MakeStatus(static_cast<StatusCode>(std::stoi(request)),
                                request.substr(request.find(' ') + 1)));
      case Method::kLease: {
        MutexLock lock(&mutex_);
        kept_.push_back(std::move(reply));
        return changed_.NotifyAll();
      }
      default:
        return reply(std::move(request));
    }
  }
  std::vector<Reply> TakeKept(size_t count) {
    MutexLock lock(&mutex_);
    while (kept_.size() < count) changed_.Wait(&mutex_);
    return std::move(kept_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<Reply> kept_ GUARDED_BY(mutex_);
};

// Counts how often each of its calls is answered.
class Answers {
 public:
  Reply Next() {
    MutexLock lock(&mutex_);
    const size_t index = results_.size();
    results_.emplace_back();
    return [this, index](StatusOr<std::string> result) {
      MutexLock lock(&mutex_);
      results_[index].push_back(result.status());
      ++count_;
      changed_.NotifyAll();
    };
  }
  void WaitFor(size_t count) {
    MutexLock lock(&mutex_);
    while (count_ < count) changed_.Wait(&mutex_);
  }
  // Of all calls: each has exactly one.
  std::vector<Status> Once() {
    MutexLock lock(&mutex_);
    std::vector<Status> once;
    for (const auto& result : results_) {
      EXPECT_EQ(result.size(), 1u);
      for (const auto& status : result) once.push_back(status);
    }
    return once;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::vector<Status>> results_ GUARDED_BY(mutex_);
  size_t count_ GUARDED_BY(mutex_) = 0;
};

StatusOr<std::string> Ask(Transport& transport, const std::string& address, Method method,
                          const std::string& request, milliseconds deadline = kLong) {
  std::promise<StatusOr<std::string>> answer;
  transport.Call(address, method, request, deadline,
                 [&answer](StatusOr<std::string> result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

bool Says(const Status& status, const std::string& part) {
  return Message(status).find(part) != std::string::npos;
}

std::atomic<int> failed_handshakes = 0;

class GrpcTransportTest : public testing::Test {
 protected:
  GrpcTransportTest() { SetGrpcLog(&TakeLine); }
  static void TakeLine(bool is_error, std::string_view text) {
    if (is_error && text.find("Handshake failed") != std::string_view::npos) ++failed_handshakes;
  }
  void Start(const LinkSecurity& security = kNone, const GrpcOptions& options = {}) {
    auto server =
        GrpcServer::Start(fmt::format("127.0.0.1:{}", port_), &handler_, security, options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(*server);
    port_ = server_->port();
    address_ = fmt::format("127.0.0.1:{}", port_);
  }
  StatusOr<std::string> AskAs(const LinkSecurity& security) {
    GrpcTransport transport(security);
    return Ask(transport, address_, Method::kHello, "hi");
  }

  TestHandler handler_;
  int port_ = 0;
  std::string address_;
  std::unique_ptr<GrpcServer> server_;
};

TEST_F(GrpcTransportTest, BytesOfAllSizesBothWays) {
  Start();
  GrpcTransport transport(kNone);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1'000'000}, size_t{100'000'000}}) {
    auto answer = Ask(transport, address_, Method::kPull, std::to_string(size));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(answer->size(), size);
    EXPECT_EQ(answer->find_first_not_of('a'), std::string::npos);
    answer = Ask(transport, address_, Method::kPush, std::string(size, 'b'));
    ASSERT_TRUE(answer.ok()) << answer.status();
    EXPECT_EQ(*answer, std::to_string(size));
  }
  std::string bytes(300'000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * i >> 3);
  auto answer = Ask(transport, address_, Method::kHello, bytes);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, bytes);
}

TEST_F(GrpcTransportTest, ManySmallCallsEightInFlight) {
  Start();
  GrpcTransport transport(kNone);
  std::atomic<int> right = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 625; ++i) {
        const std::string request = fmt::format("{} {}", t, i);
        auto answer = Ask(transport, address_, Method::kHello, request);
        right += answer.ok() && *answer == request;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(right, 5000);
}

TEST_F(GrpcTransportTest, TheHandlersStatusesComeAsTheyWere) {
  Start();
  GrpcTransport transport(kNone);
  for (int code = 1; code <= 16; ++code) {
    auto answer = Ask(transport, address_, Method::kControl, fmt::format("{} ps 0: größer", code));
    EXPECT_EQ(answer.status().code(), static_cast<StatusCode>(code));
    EXPECT_EQ(Message(answer.status()), "ps 0: größer");
  }
}

TEST_F(GrpcTransportTest, NobodyThere) {
  Start();
  server_.reset();
  GrpcTransport transport(kNone);
  auto answer = Ask(transport, address_, Method::kPull, "1");
  EXPECT_EQ(answer.status().code(), StatusCode::kUnavailable) << answer.status();
  EXPECT_TRUE(Says(answer.status(), "Pull")) << answer.status();
  EXPECT_TRUE(Says(answer.status(), address_)) << answer.status();
  EXPECT_TRUE(Says(answer.status(), "refused")) << answer.status();
  answer = Ask(transport, "no-such-host.invalid:1", Method::kPull, "1");
  EXPECT_EQ(answer.status().code(), StatusCode::kUnavailable) << answer.status();
}

TEST_F(GrpcTransportTest, ServersThatComeBackAreFound) {
  Start();
  GrpcTransport transport(kNone);
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(Ask(transport, address_, Method::kHello, "hi").ok());
    server_.reset();
    EXPECT_EQ(Ask(transport, address_, Method::kHello, "hi").status().code(),
              StatusCode::kUnavailable);
    Start();
    const auto start = std::chrono::steady_clock::now();
    while (!Ask(transport, address_, Method::kHello, "hi").ok()) {
      ASSERT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    }
  }
}

TEST_F(GrpcTransportTest, DeadlinesAndLateReplies) {
  Start();
  GrpcTransport transport(kNone);
  auto answer = Ask(transport, address_, Method::kLease, "", milliseconds(2000));
  EXPECT_EQ(answer.status().code(), StatusCode::kDeadlineExceeded) << answer.status();
  for (auto& reply : handler_.TakeKept(1)) reply("too late");

  Answers answers;
  transport.Call(address_, Method::kLease, "", kLong, answers.Next());
  auto kept = handler_.TakeKept(1);
  EXPECT_TRUE(Ask(transport, address_, Method::kHello, "not held up").ok());
  std::jthread([&] { kept[0]("later"); }).join();
  answers.WaitFor(1);
  EXPECT_TRUE(answers.Once()[0].ok());
}

TEST_F(GrpcTransportTest, OversizeMessagesAreRefused) {
  const GrpcOptions small{.max_message_bytes = 10'000};
  Start(kNone, small);
  GrpcTransport large_client(kNone), small_client(kNone, small);
  // A request: by its sender, and by the server.
  for (GrpcTransport* client : {&small_client, &large_client}) {
    auto answer = Ask(*client, address_, Method::kPush, std::string(10'001, 'x'));
    EXPECT_EQ(answer.status().code(), StatusCode::kResourceExhausted) << answer.status();
    EXPECT_TRUE(Ask(*client, address_, Method::kPush, std::string(10'000, 'x')).ok());
  }
  // An answer: by its sender …
  auto answer = Ask(large_client, address_, Method::kPull, "10001");
  EXPECT_EQ(answer.status().code(), StatusCode::kResourceExhausted) << answer.status();
  EXPECT_TRUE(Says(answer.status(), "10001 bytes")) << answer.status();
  // … and by the client.
  server_.reset();
  Start();
  while ((answer = Ask(small_client, address_, Method::kPull, "10001")).status().code() ==
         StatusCode::kUnavailable) {
  }
  EXPECT_EQ(answer.status().code(), StatusCode::kResourceExhausted) << answer.status();
  EXPECT_TRUE(Ask(small_client, address_, Method::kPull, "10000").ok());
}

TEST_F(GrpcTransportTest, StopWithCallsInFlight) {
  Start();
  GrpcTransport transport(kNone);
  Answers answers;
  for (int i = 0; i < 20; ++i) {
    transport.Call(address_, Method::kLease, "", kLong, answers.Next());
  }
  auto kept = handler_.TakeKept(20);
  for (int i = 0; i < 5; ++i) kept[i]("in time");
  answers.WaitFor(5);
  server_->Stop(milliseconds(10));
  answers.WaitFor(20);
  for (auto& reply : kept) reply("after the end, or twice");
  int answered = 0;
  for (const Status& status : answers.Once()) {
    if (status.ok()) {
      ++answered;
    } else {
      EXPECT_EQ(status.code(), StatusCode::kUnavailable) << status;
    }
  }
  EXPECT_EQ(answered, 5);
  server_->Stop(kLong);
  server_.reset();
}

TEST_F(GrpcTransportTest, StopLeavesTimeForAnswers) {
  Start();
  GrpcTransport transport(kNone);
  Answers answers;
  transport.Call(address_, Method::kLease, "", kLong, answers.Next());
  auto kept = handler_.TakeKept(1);
  std::jthread stopping([&] { server_->Stop(kLong); });
  kept[0]("in time");
  stopping.join();
  answers.WaitFor(1);
  EXPECT_TRUE(answers.Once()[0].ok()) << answers.Once()[0];
}

TEST_F(GrpcTransportTest, TheClientsEndCancelsItsCalls) {
  Start();
  Answers answers;
  {
    GrpcTransport transport(kNone);
    for (int i = 0; i < 10; ++i) {
      transport.Call(address_, Method::kLease, "", kLong, answers.Next());
    }
    handler_.TakeKept(10);
  }
  for (const Status& status : answers.Once()) EXPECT_EQ(status.code(), StatusCode::kCancelled);
}

TEST_F(GrpcTransportTest, ASilentLinkIsGivenUp) {
  const GrpcOptions options{.connect_timeout = milliseconds(500),
                            .keepalive_interval = milliseconds(200),
                            .keepalive_timeout = milliseconds(1000)};
  Start(kNone, options);
  ByteRelay relay(port_);
  const std::string relayed = fmt::format("127.0.0.1:{}", relay.port());
  GrpcTransport transport(kNone, options);
  while (!Ask(transport, relayed, Method::kHello, "hi").ok()) {
  }
  Answers answers;
  transport.Call(relayed, Method::kLease, "", kLong, answers.Next());
  handler_.TakeKept(1);
  relay.Freeze(true);
  answers.WaitFor(1);
  EXPECT_EQ(answers.Once()[0].code(), StatusCode::kUnavailable) << answers.Once()[0];
  // New connections are taken and stay silent.
  auto answer = Ask(transport, relayed, Method::kHello, "hi");
  EXPECT_EQ(answer.status().code(), StatusCode::kUnavailable) << answer.status();
  relay.Freeze(false);
  while (!Ask(transport, relayed, Method::kHello, "hi").ok()) {
  }
}

TEST_F(GrpcTransportTest, Tokens) {
  const LinkSecurity right{.token = AuthToken("0123456789abcdef")};
  const LinkSecurity wrong{.token = AuthToken("0123456789abcdeX")};
  Start(right);
  EXPECT_TRUE(AskAs(right).ok());
  auto answer = AskAs(wrong);
  EXPECT_EQ(answer.status().code(), StatusCode::kUnauthenticated) << answer.status();
  EXPECT_TRUE(Says(answer.status(), "token is not the token of this task")) << answer.status();
  EXPECT_FALSE(Says(answer.status(), "0123456789")) << answer.status();
  answer = AskAs(kNone);
  EXPECT_EQ(answer.status().code(), StatusCode::kUnauthenticated) << answer.status();
  EXPECT_TRUE(Says(answer.status(), "sent none")) << answer.status();
}

TEST_F(GrpcTransportTest, MutualTls) {
  const TestAuthority authority("ours"), stranger("another");
  const LinkSecurity ours{.tls = authority.Issue("IP:127.0.0.1")};
  Start(ours);
  auto answer = AskAs(ours);
  ASSERT_TRUE(answer.ok()) << answer.status();
  GrpcTransport transport(ours);
  EXPECT_TRUE(Ask(transport, address_, Method::kPull, "1000000").ok());

  LinkSecurity anonymous = ours;
  anonymous.tls->cert = anonymous.tls->key = "";
  EXPECT_EQ(AskAs(anonymous).status().code(), StatusCode::kUnavailable);
  LinkSecurity foreign{.tls = stranger.Issue("IP:127.0.0.1")};
  EXPECT_EQ(AskAs(foreign).status().code(), StatusCode::kUnavailable);
  foreign.tls->ca = authority.certificate();  // trusts us; we do not trust it
  EXPECT_EQ(AskAs(foreign).status().code(), StatusCode::kUnavailable);
  EXPECT_EQ(AskAs(kNone).status().code(), StatusCode::kUnavailable);
  EXPECT_TRUE(AskAs(ours).ok());
  EXPECT_GT(failed_handshakes, 0);
}

TEST_F(GrpcTransportTest, TlsNamesAndTokensTogether) {
  const TestAuthority authority("ours");
  LinkSecurity security{.tls = authority.Issue("DNS:tasks.example"), .token = AuthToken("secret")};
  Start(security);
  EXPECT_EQ(AskAs(security).status().code(),
            StatusCode::kUnavailable);  // not its address
  security.server_name = "tasks.example";
  auto answer = AskAs(security);
  EXPECT_TRUE(answer.ok()) << answer.status();
  security.token = AuthToken();
  EXPECT_EQ(AskAs(security).status().code(), StatusCode::kUnauthenticated);
}

TEST_F(GrpcTransportTest, OpenAddressesNeedSecurity) {
  auto open = GrpcServer::Start("0.0.0.0:0", &handler_, kNone);
  EXPECT_EQ(open.status().code(), StatusCode::kFailedPrecondition);
  EXPECT_TRUE(Says(open.status(), "0.0.0.0:0")) << open.status();
  EXPECT_FALSE(GrpcServer::Start("[::]:0", &handler_, kNone).ok());
  EXPECT_TRUE(GrpcServer::Start("0.0.0.0:0", &handler_, {.insecure = true}).ok());
  EXPECT_TRUE(GrpcServer::Start("0.0.0.0:0", &handler_, {.token = AuthToken("t")}).ok());
}

TEST_F(GrpcTransportTest, ASecondServerOnThePort) {
  Start();
  for (const std::string host : {"127.0.0.1", "0.0.0.0", "localhost"}) {
    auto second =
        GrpcServer::Start(fmt::format("{}:{}", host, port_), &handler_, {.insecure = true});
    ASSERT_FALSE(second.ok()) << host;
    EXPECT_TRUE(Says(second.status(), fmt::format("listen on {}:{}", host, port_)));
    EXPECT_TRUE(Says(second.status(), "in use")) << second.status();
  }
  EXPECT_FALSE(GrpcServer::Start("127.0.0.1", &handler_, kNone).ok());
  auto foreign = GrpcServer::Start("192.0.2.1:0", &handler_, {.insecure = true});
  EXPECT_TRUE(Says(foreign.status(), "assign")) << foreign.status();
}

TEST_F(GrpcTransportTest, WhatIsNotOurProtocol) {
  Start();
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\xff'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + std::string(1000, '\x7f')}) {
    SendRaw(port_, bytes);
  }
  GrpcTransport transport(kNone);
  EXPECT_TRUE(Ask(transport, address_, Method::kHello, "hi").ok());

  grpc::GenericStub stub(grpc::CreateChannel(address_, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  const grpc::ByteBuffer request = ToByteBuffer("x");
  grpc::ByteBuffer answer;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/tensorflow.Master/RunStep", {}, &request, &answer,
                 [&](grpc::Status status) { done.set_value(status); });
  const grpc::Status status = done.get_future().get();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_NE(status.error_message().find("/tensorflow.Master/RunStep"), std::string::npos);
}

// grpc.health.v1: request {1: service}, answer {1: enum, 1 serving, 2 not}.
int HealthOf(const std::string& address, const std::string& service) {
  grpc::GenericStub stub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  std::string message;
  if (!service.empty())
    message = "\x0a" + std::string(1, static_cast<char>(service.size())) + service;
  const grpc::ByteBuffer request = ToByteBuffer(message);
  grpc::ByteBuffer answer;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &answer,
                 [&](grpc::Status status) { done.set_value(status); });
  if (const auto status = done.get_future().get(); !status.ok()) return -status.error_code();
  const std::string bytes = FromByteBuffer(answer);
  return bytes.size() == 2 ? bytes[1] : 0;
}

TEST_F(GrpcTransportTest, HealthNeedsNoToken) {
  Start({.token = AuthToken("secret")});
  EXPECT_EQ(HealthOf(address_, ""), 1);
  EXPECT_EQ(HealthOf(address_, kTaskService), 1);
  EXPECT_EQ(HealthOf(address_, "other"), -grpc::StatusCode::NOT_FOUND);
  server_->SetServing(false);
  EXPECT_EQ(HealthOf(address_, ""), 2);
  EXPECT_EQ(HealthOf(address_, kTaskService), 2);
}

}  // namespace
}  // namespace capstan
