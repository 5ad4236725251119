#include "ps/grpc_transport.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <map>
#include <set>
#include <utility>

#include "base/mutex.h"
#include "net/grpc_status.h"
#include "ps/grpc_marks.h"

namespace capstan {
namespace {

using SteadyClock = std::chrono::steady_clock;

int Milliseconds(std::chrono::milliseconds time) { return static_cast<int>(time.count()); }

grpc::ChannelArguments ArgumentsOf(const LinkSecurity& security, const GrpcOptions& options) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  args.SetMaxSendMessageSize(static_cast<int>(options.max_message_bytes));
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, Milliseconds(options.connect_timeout));
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, Milliseconds(options.first_backoff));
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, Milliseconds(options.largest_backoff));
  args.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, Milliseconds(options.resolve_interval));
  args.SetInt(GRPC_ARG_DNS_ARES_QUERY_TIMEOUT_MS, Milliseconds(options.connect_timeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, Milliseconds(options.keepalive_interval));
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, Milliseconds(options.keepalive_timeout));
  args.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // any number
  // Peers are called as they are named: no proxy of the environment, no settings out of DNS; and
  // whether a call is made again is for the caller to say.
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  args.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  args.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0);
  args.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (!security.server_name.empty()) args.SetSslTargetNameOverride(security.server_name);
  return args;
}

std::shared_ptr<grpc::ChannelCredentials> CredentialsOf(const LinkSecurity& security) {
  if (!security.tls.has_value()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = security.tls->ca,
                               .pem_private_key = security.tls->key,
                               .pem_cert_chain = security.tls->cert});
}

// What gRPC itself says when a peer or a connection goes away in the middle of a call.
bool IsLostOnTheWay(absl::StatusCode code) {
  return code == absl::StatusCode::kUnknown || code == absl::StatusCode::kInternal ||
         code == absl::StatusCode::kAborted || code == absl::StatusCode::kCancelled;
}

}  // namespace

struct GrpcTransport::Rep {
  struct Peer {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<grpc::GenericStub> stub;
    bool lost = false;  // the last call did not reach it
    SteadyClock::time_point last_reset;
  };

  // From Call to `done`.
  struct Exchange {
    Rep* rep;
    std::string address;
    Method method;
    grpc::ClientContext context;
    grpc::ByteBuffer request, answer;
    Reply done;
  };

  const GrpcOptions options;
  const grpc::ChannelArguments arguments;
  const std::shared_ptr<grpc::ChannelCredentials> credentials;
  const std::string authorization;  // "": none is sent

  Mutex mutex;
  CondVar changed;
  std::map<std::string, Peer> peers GUARDED_BY(mutex);
  std::set<Exchange*> in_flight GUARDED_BY(mutex);
  bool ending GUARDED_BY(mutex) = false;

  Rep(const LinkSecurity& security, const GrpcOptions& given)
      : options(given),
        arguments(ArgumentsOf(security, given)),
        credentials(CredentialsOf(security)),
        authorization(security.token.empty() ? "" : kBearer + security.token.secret()) {}

  grpc::GenericStub* Begin(Exchange* exchange) EXCLUDES(mutex);
  StatusOr<std::string> ResultOf(Exchange* exchange, const grpc::Status& status) EXCLUDES(mutex);
  void End(Exchange* exchange, const grpc::Status& status) EXCLUDES(mutex);
};

grpc::GenericStub* GrpcTransport::Rep::Begin(Exchange* exchange) {
  MutexLock lock(&mutex);
  in_flight.insert(exchange);
  Peer& peer = peers[exchange->address];
  if (peer.channel == nullptr) {
    peer.channel = grpc::CreateCustomChannel(exchange->address, credentials, arguments);
    peer.stub = std::make_unique<grpc::GenericStub>(peer.channel);
    peer.last_reset = SteadyClock::now();
  } else if (peer.lost && SteadyClock::now() - peer.last_reset >= options.resolve_interval) {
    // gRPC waits ever longer, up to two minutes, between questions for a name that is not there;
    // a task may get its name at any time.
    grpc::experimental::ChannelResetConnectionBackoff(peer.channel.get());
    peer.last_reset = SteadyClock::now();
  }
  return peer.stub.get();
}

StatusOr<std::string> GrpcTransport::Rep::ResultOf(Exchange* exchange, const grpc::Status& status) {
  const auto& trailers = exchange->context.GetServerTrailingMetadata();
  const bool from_handler = status.ok() || trailers.count(kHandlerMark) > 0;
  Status result = FromGrpc(status);
  if (!from_handler) {
    MutexLock lock(&mutex);
    const bool lost = IsLostOnTheWay(result.code()) && !ending;
    const auto code = lost ? absl::StatusCode::kUnavailable : result.code();
    result = MakeStatus(code, fmt::format("call {} of {}: {}", NameOf(exchange->method),
                                          exchange->address, Message(result)));
  }
  {
    MutexLock lock(&mutex);
    peers[exchange->address].lost =
        !from_handler && result.code() == absl::StatusCode::kUnavailable;
  }
  if (!result.ok()) return result;
  return FromByteBuffer(exchange->answer);
}

void GrpcTransport::Rep::End(Exchange* exchange, const grpc::Status& status) {
  StatusOr<std::string> result = ResultOf(exchange, status);
  exchange->answer.Clear();
  exchange->done(std::move(result));
  exchange->done = nullptr;
  MutexLock lock(&mutex);
  in_flight.erase(exchange);
  changed.NotifyAll();
  delete exchange;
}

GrpcTransport::GrpcTransport(const LinkSecurity& security, const GrpcOptions& options)
    : rep_(std::make_unique<Rep>(security, options)) {}

GrpcTransport::~GrpcTransport() {
  MutexLock lock(&rep_->mutex);
  rep_->ending = true;
  for (auto* exchange : rep_->in_flight) exchange->context.TryCancel();
  while (!rep_->in_flight.empty()) rep_->changed.Wait(&rep_->mutex);
}

void GrpcTransport::Call(const std::string& address, Method method, std::string request,
                         std::chrono::milliseconds deadline, Reply done) {
  const auto limit = static_cast<uint64_t>(rep_->options.max_message_bytes);
  if (request.size() > limit) {
    done(MakeStatus(absl::StatusCode::kResourceExhausted,
                    fmt::format("call {} of {}: a request of {} bytes, at most {} can be sent",
                                NameOf(method), address, request.size(), limit)));
    return;
  }
  auto* exchange = new Rep::Exchange{.rep = rep_.get(), .address = address, .method = method};
  exchange->request = ToByteBuffer(std::move(request));
  exchange->done = std::move(done);
  exchange->context.set_deadline(std::chrono::system_clock::now() + deadline);
  if (!rep_->authorization.empty()) {
    exchange->context.AddMetadata(kAuthorization, rep_->authorization);
  }
  grpc::GenericStub* stub = rep_->Begin(exchange);
  stub->UnaryCall(&exchange->context, PathOf(method), {}, &exchange->request, &exchange->answer,
                  [exchange](grpc::Status status) { exchange->rep->End(exchange, status); });
}

}  // namespace capstan
