#include "ps/grpc_server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "base/mutex.h"
#include "net/address.h"
#include "net/grpc_status.h"
#include "ps/grpc_marks.h"

namespace capstan {
namespace {

// One call. Whoever takes it out of its Slot, and only he, finishes it: the handler's Reply, the
// end of the call from outside (caller gone, deadline, Stop), or a request that did not arrive.
class ServedCall final : public grpc::ServerGenericBidiReactor {
 public:
  ServedCall(grpc::GenericCallbackServerContext* context, RequestHandler* handler, Method method,
             int64_t max_message_bytes)
      : context_(context),
        handler_(handler),
        method_(method),
        max_message_bytes_(max_message_bytes),
        slot_(std::make_shared<Slot>()) {
    slot_->call = this;
    StartRead(&request_);
  }

  void OnReadDone(bool ok) override {
    if (!ok) {
      if (auto* call = slot_->Take()) {
        call->Finish(grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                                  fmt::format("the request did not arrive whole, or has more than "
                                              "{} bytes",
                                              max_message_bytes_)));
      }
      return;
    }
    std::string request = FromByteBuffer(request_);
    request_.Clear();
    handler_->Handle(method_, std::move(request), [slot = slot_](StatusOr<std::string> answer) {
      if (auto* call = slot->Take()) call->Answer(std::move(answer));
    });
  }

  void OnCancel() override {
    if (auto* call = slot_->Take()) {
      call->Finish(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the call was given up"));
    }
  }

  void OnDone() override { delete this; }

 private:
  struct Slot {
    Mutex mutex;
    ServedCall* call GUARDED_BY(mutex) = nullptr;
    ServedCall* Take() EXCLUDES(mutex) {
      MutexLock lock(&mutex);
      return std::exchange(call, nullptr);
    }
  };

  void Answer(StatusOr<std::string> answer) {
    if (answer.ok() && answer->size() > static_cast<uint64_t>(max_message_bytes_)) {
      answer = MakeStatus(absl::StatusCode::kResourceExhausted,
                          fmt::format("answer {}: it has {} bytes, at most {} can be sent",
                                      NameOf(method_), answer->size(), max_message_bytes_));
    }
    if (!answer.ok()) {
      context_->AddTrailingMetadata(kHandlerMark, "1");
      return Finish(ToGrpc(answer.status()));
    }
    answer_ = ToByteBuffer(std::move(*answer));
    StartWriteAndFinish(&answer_, grpc::WriteOptions(), grpc::Status::OK);
  }

  grpc::GenericCallbackServerContext* const context_;
  RequestHandler* const handler_;
  const Method method_;
  const int64_t max_message_bytes_;
  const std::shared_ptr<Slot> slot_;
  grpc::ByteBuffer request_, answer_;
};

class RefusedCall final : public grpc::ServerGenericBidiReactor {
 public:
  explicit RefusedCall(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class TaskService final : public grpc::CallbackGenericService {
 public:
  TaskService(RequestHandler* handler, const AuthToken& token, int64_t max_message_bytes)
      : handler_(handler), token_(token), max_message_bytes_(max_message_bytes) {}

  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    if (grpc::Status status = CheckToken(*context); !status.ok()) return new RefusedCall(status);
    const auto method = MethodOfPath(context->method());
    if (!method.has_value()) {
      return new RefusedCall(grpc::Status(grpc::StatusCode::UNIMPLEMENTED,
                                          "this task has no method " + context->method()));
    }
    return new ServedCall(context, handler_, *method, max_message_bytes_);
  }

 private:
  grpc::Status CheckToken(const grpc::GenericCallbackServerContext& context) const {
    if (token_.empty()) return grpc::Status::OK;
    const auto found = context.client_metadata().find(kAuthorization);
    if (found == context.client_metadata().end()) {
      return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                          "this task asks for a token and the caller sent none");
    }
    std::string_view offered(found->second.data(), found->second.size());
    const bool bearer = offered.starts_with(kBearer);
    if (bearer) offered.remove_prefix(strlen(kBearer));
    if (bearer && token_.Matches(offered)) return grpc::Status::OK;
    return grpc::Status(grpc::StatusCode::UNAUTHENTICATED,
                        "the caller's token is not the token of this task");
  }

  RequestHandler* const handler_;
  const AuthToken token_;
  const int64_t max_message_bytes_;
};

// gRPC says only that it could not listen; the system says why.
Status TryToBind(const std::string& text, const Address& address) {
  addrinfo* found = nullptr;
  const addrinfo hints{.ai_flags = AI_PASSIVE, .ai_socktype = SOCK_STREAM};
  const std::string port = std::to_string(address.port);
  if (const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return MakeStatus(absl::StatusCode::kUnavailable,
                      fmt::format("listen on {}: {}", text, gai_strerror(error)));
  }
  int bind_errno = 0;
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (bind(fd, found->ai_addr, found->ai_addrlen) != 0) bind_errno = errno;
  if (fd >= 0) close(fd);
  freeaddrinfo(found);
  if (bind_errno != 0) return SystemError("listen on " + text, bind_errno);
  return OkStatus();
}

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const LinkSecurity& security) {
  if (!security.tls.has_value()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = security.tls->ca;
  options.pem_key_cert_pairs.push_back({security.tls->key, security.tls->cert});
  return grpc::SslServerCredentials(options);
}

void SetArguments(const GrpcOptions& options, grpc::ServerBuilder* builder) {
  const auto milliseconds = [](std::chrono::milliseconds t) { return static_cast<int>(t.count()); };
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  builder->SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(options.keepalive_interval));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS,
                              milliseconds(options.keepalive_timeout));
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Clients ask for signs of life as often as we do; by default they would be sent away for it.
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 100);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
}

}  // namespace

struct GrpcServer::Rep {
  Rep(RequestHandler* handler, const LinkSecurity& security, const GrpcOptions& options)
      : service(handler, security.token, options.max_message_bytes) {}

  TaskService service;
  std::unique_ptr<grpc::Server> server;
};

GrpcServer::GrpcServer(std::unique_ptr<Rep> rep, int port) : rep_(std::move(rep)), port_(port) {}
GrpcServer::~GrpcServer() { Stop(std::chrono::milliseconds(0)); }

StatusOr<std::unique_ptr<GrpcServer>> GrpcServer::Start(const std::string& address,
                                                        RequestHandler* handler,
                                                        const LinkSecurity& security,
                                                        const GrpcOptions& options) {
  ASSIGN_OR_RETURN(const Address parsed, ParseAddress(address));
  RETURN_IF_ERROR(CheckListen(security, address));
  RETURN_IF_ERROR(TryToBind(address, parsed));
  grpc::EnableDefaultHealthCheckService(true);
  auto rep = std::make_unique<Rep>(handler, security, options);
  int port = 0;
  grpc::ServerBuilder builder;
  SetArguments(options, &builder);
  builder.RegisterCallbackGenericService(&rep->service);
  builder.AddListeningPort(address, CredentialsOf(security), &port);
  rep->server = builder.BuildAndStart();
  if (rep->server == nullptr || port == 0) {
    return MakeStatus(absl::StatusCode::kUnavailable,
                      fmt::format("listen on {}: gRPC refused", address));
  }
  std::unique_ptr<GrpcServer> server(new GrpcServer(std::move(rep), port));
  server->SetServing(true);
  return server;
}

void GrpcServer::SetServing(bool serving) {
  if (rep_->server == nullptr) return;
  if (auto* health = rep_->server->GetHealthCheckService(); health != nullptr) {
    health->SetServingStatus(serving);
    health->SetServingStatus(kTaskService, serving);
  }
}

void GrpcServer::Stop(std::chrono::milliseconds grace) {
  if (rep_->server == nullptr) return;
  SetServing(false);
  rep_->server->Shutdown(std::chrono::system_clock::now() + grace);
  rep_->server.reset();
}

}  // namespace capstan
