#include "ps/test_cluster.h"

#include <utility>

#include "ps/server_calls.h"
#include "ps/synthetic_training.h"

namespace capstan {

Adversary LossyNetwork(uint64_t seed) {
  return {.seed = seed,
          .drop_request = 0.05,
          .drop_answer = 0.05,
          .duplicate = 0.1,
          .delay = 0.1,
          .most_delay = 30,
          .reorder = true};
}

// A server as the network sees it.
class TestCluster::Handler : public RequestHandler {
 public:
  Handler(const ParameterServerOptions& options, ParameterServer::Storage storage)
      : pool_(1), server_(options, &pool_, std::move(storage)) {}

  void Handle(Method method, std::string request, Reply reply) override {
    switch (method) {
      case Method::kPull:
        return server_.Pull(std::move(request), std::move(reply));
      case Method::kPush:
        return server_.Push(std::move(request), std::move(reply));
      case Method::kControl:
        return server_.Control(std::move(request), std::move(reply));
      default:
        return reply(Error("no such method"));
    }
  }
  ParameterServer& server() { return server_; }

 private:
  WorkerPool pool_;
  ParameterServer server_;
};

TestCluster::TestCluster(TrainMode mode, int servers, const Adversary& adversary,
                         std::vector<TableSpec> tables, std::vector<DenseSpec> dense)
    : mode_(mode),
      tables_(std::move(tables)),
      dense_(std::move(dense)),
      checkpoints_(tables_, dense_),
      network_(adversary, 2),
      chief_(network_.TransportOf("chief")),
      handlers_(servers) {
  for (int s = 0; s < servers; ++s) StartServer(s);
}

TestCluster::~TestCluster() {
  for (size_t s = 0; s < handlers_.size(); ++s) StopServer(static_cast<int>(s));
  network_.Stop();
}

void TestCluster::StartServer(int server) {
  ParameterServerOptions options{.index = server,
                                 .servers = static_cast<int>(handlers_.size()),
                                 .incarnation = ++incarnations_,
                                 .mode = mode_,
                                 .slices = SyntheticTraining::kSlices,
                                 .seed = kSeed,
                                 .tables = tables_,
                                 .dense = dense_};
  if (mode_ == TrainMode::kSync) options.rate_factor = SyntheticTraining::RateFactor;
  handlers_[server] =
      std::make_unique<Handler>(options, checkpoints_.StorageOf(server, options.servers));
  network_.Register(Address(server), handlers_[server].get());
}

void TestCluster::StopServer(int server) {
  network_.Register(Address(server), nullptr);
  handlers_[server] = nullptr;
}

ParameterServer& TestCluster::server(int server) { return handlers_[server]->server(); }

std::string TestCluster::Address(int server) const {
  return "ps" + std::to_string(server) + ":2222";
}

std::vector<std::string> TestCluster::addresses() const {
  std::vector<std::string> addresses;
  for (size_t s = 0; s < handlers_.size(); ++s) addresses.push_back(Address(static_cast<int>(s)));
  return addresses;
}

StatusOr<std::vector<ControlAnswer>> TestCluster::Control(const ControlRequest& request) {
  return ControlAt(addresses(), request);
}

StatusOr<ControlAnswer> TestCluster::ControlOne(int server, const ControlRequest& request) {
  ASSIGN_OR_RETURN(const auto answers, ControlAt({Address(server)}, request));
  return answers[0];
}

StatusOr<std::vector<ControlAnswer>> TestCluster::ControlAt(
    const std::vector<std::string>& addresses, const ControlRequest& request) {
  ServerCalls calls({.servers = addresses,
                     .peer_timeout = std::chrono::hours(1),
                     .retry_delay = std::chrono::milliseconds(1)},
                    chief_.get(), &clock_);
  std::vector<ControlAnswer> answers(addresses.size());
  const auto round = calls.Start([&](int server) {
    return ServerCalls::Request{Method::kControl, request.Encode()};
  });
  RETURN_IF_ERROR(
      calls.Wait(round.get(), [&](int server, StatusOr<std::string> bytes) -> StatusOr<bool> {
        if (!bytes.ok()) return bytes.status();
        ASSIGN_OR_RETURN(answers[server], ControlAnswer::Decode(*bytes));
        return true;
      }));
  if (request.kind != ControlKind::kCut) return answers;
  ControlRequest part = request;
  part.kind = ControlKind::kAwaitPart;
  return ControlAt(addresses, part);
}

std::unique_ptr<RemoteParameters> TestCluster::NewWorker(int worker, ValueFormat format) {
  const RemoteParametersOptions options{.mode = mode_,
                                        .servers = addresses(),
                                        .worker = worker,
                                        .incarnation = ++incarnations_,
                                        .format = format,
                                        .peer_timeout = std::chrono::hours(1),
                                        .retry_delay = std::chrono::milliseconds(1)};
  transports_.push_back(network_.TransportOf("worker" + std::to_string(worker)));
  return std::make_unique<RemoteParameters>(tables_, dense_, options, transports_.back().get());
}

}  // namespace capstan
