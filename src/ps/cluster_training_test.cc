// Servers and workers over the lossy network: the same bits as one process, whatever happens.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "base/mutex.h"
#include "ps/in_process_network.h"
#include "ps/memory_checkpoints.h"
#include "ps/parameter_server.h"
#include "ps/remote_parameters.h"
#include "ps/server_calls.h"
#include "ps/synthetic_training.h"

namespace capstan {
namespace {

constexpr uint64_t kSeed = 7;

Adversary Lossy(uint64_t seed) {
  return {.seed = seed,
          .drop_request = 0.05,
          .drop_answer = 0.05,
          .duplicate = 0.1,
          .delay = 0.1,
          .most_delay = 30,
          .reorder = true};
}

std::string Address(int server) { return "ps" + std::to_string(server) + ":2222"; }

// A server as the network sees it.
class ServerHandler : public RequestHandler {
 public:
  ServerHandler(const ParameterServerOptions& options, ParameterServer::Storage storage)
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

class Cluster {
 public:
  Cluster(TrainMode mode, int servers, const Adversary& adversary, std::vector<TableSpec> tables,
          std::vector<DenseSpec> dense)
      : mode_(mode),
        tables_(std::move(tables)),
        dense_(std::move(dense)),
        checkpoints_(tables_, dense_),
        network_(adversary, 2),
        chief_(network_.TransportOf("chief")),
        handlers_(servers) {
    for (int s = 0; s < servers; ++s) StartServer(s);
  }
  ~Cluster() {
    for (size_t s = 0; s < handlers_.size(); ++s) StopServer(static_cast<int>(s));
    network_.Stop();
  }

  void StartServer(int server) {
    ParameterServerOptions options{.index = server,
                                   .servers = static_cast<int>(handlers_.size()),
                                   .incarnation = ++incarnations_,
                                   .mode = mode_,
                                   .slices = SyntheticTraining::kSlices,
                                   .seed = kSeed,
                                   .tables = tables_,
                                   .dense = dense_,
                                   .rate_factor = SyntheticTraining::RateFactor};
    handlers_[server] =
        std::make_unique<ServerHandler>(options, checkpoints_.StorageOf(server, options.servers));
    network_.Register(Address(server), handlers_[server].get());
  }
  void StopServer(int server) {
    network_.Register(Address(server), nullptr);
    handlers_[server] = nullptr;
  }

  // To each server, until all have answered.
  StatusOr<std::vector<ControlAnswer>> Control(const ControlRequest& request) {
    ServerCalls calls({.servers = addresses(),
                       .peer_timeout = std::chrono::hours(1),
                       .retry_delay = std::chrono::milliseconds(1)},
                      chief_.get(), &clock_);
    std::vector<ControlAnswer> answers(handlers_.size());
    const auto round = calls.Start([&](int server) {
      return ServerCalls::Request{Method::kControl, request.Encode()};
    });
    RETURN_IF_ERROR(
        calls.Wait(round.get(), [&](int server, StatusOr<std::string> bytes) -> StatusOr<bool> {
          if (!bytes.ok()) return bytes.status();
          ASSIGN_OR_RETURN(answers[server], ControlAnswer::Decode(*bytes));
          return true;
        }));
    return answers;
  }

  std::unique_ptr<RemoteParameters> NewWorker(int worker,
                                              ValueFormat format = ValueFormat::kFloat32) {
    RemoteParametersOptions options{.mode = mode_,
                                    .servers = addresses(),
                                    .worker = worker,
                                    .incarnation = ++incarnations_,
                                    .format = format,
                                    .peer_timeout = std::chrono::hours(1),
                                    .retry_delay = std::chrono::milliseconds(1)};
    transports_.push_back(network_.TransportOf("worker" + std::to_string(worker)));
    return std::make_unique<RemoteParameters>(tables_, dense_, options, transports_.back().get());
  }

  MemoryCheckpoints& checkpoints() { return checkpoints_; }
  InProcessNetwork& network() { return network_; }
  ParameterServer& server(int s) { return handlers_[s]->server(); }

 private:
  std::vector<std::string> addresses() const {
    std::vector<std::string> addresses;
    for (size_t s = 0; s < handlers_.size(); ++s) addresses.push_back(Address(static_cast<int>(s)));
    return addresses;
  }

  const TrainMode mode_;
  const std::vector<TableSpec> tables_;
  const std::vector<DenseSpec> dense_;
  MemoryCheckpoints checkpoints_;
  SystemClock clock_;
  InProcessNetwork network_;
  std::unique_ptr<Transport> chief_;
  std::vector<std::unique_ptr<Transport>> transports_;
  std::vector<std::unique_ptr<ServerHandler>> handlers_;
  uint64_t incarnations_ = 0;
};

// What one process holds after so many steps.
CheckpointContents TrainedLocally(const SyntheticTraining& training, int64_t steps) {
  WorkerPool pool(1);
  auto parameters =
      LocalParameters::Create(training.tables(), training.dense(), kSeed, &pool).value();
  for (int64_t id = 0; id < training.tables()[2].dense_size; ++id) {
    EXPECT_TRUE(parameters->table(2).Insert(static_cast<uint64_t>(id), 0, 0).ok());
  }
  for (int64_t step = 1; step <= steps; ++step) {
    EXPECT_TRUE(training.LocalStep(step, parameters.get()).ok());
    parameters->Expire(step);
  }
  MemoryCheckpoints checkpoints(training.tables(), training.dense());
  auto snapshot = parameters->Cut(1 << 20).value();
  EXPECT_TRUE(checkpoints.Write("local", parameters->dense_variables(), snapshot.get()).ok());
  return checkpoints.Contents("local");
}

// Slices of a step that a worker does: its own, and some of others, as a backup.
std::vector<int> SlicesFor(int worker, int workers, int64_t step) {
  std::vector<int> slices;
  for (int s = 0; s < SyntheticTraining::kSlices; ++s) {
    const bool own = (s + step) % workers == worker;
    const bool backup = MixBits(step, s, worker) % 8 == 0;
    if (own || backup) slices.push_back(s);
  }
  return slices;
}

// Where the workers are to begin, and whether that is the last time.
class Generation {
 public:
  void Set(const RunId& run, int64_t start_step, bool last) {
    MutexLock lock(&mutex_);
    run_ = run;
    start_step_ = start_step;
    last_ = last;
    changed_.NotifyAll();
  }
  // Waits for one that is not `*run`. False: there will be none.
  bool Next(RunId* run, int64_t* start_step) {
    MutexLock lock(&mutex_);
    while (run_ == *run && !last_) changed_.Wait(&mutex_);
    if (run_ == *run) return false;
    *run = run_;
    *start_step = start_step_;
    return true;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  RunId run_ GUARDED_BY(mutex_);
  int64_t start_step_ GUARDED_BY(mutex_) = 0;
  bool last_ GUARDED_BY(mutex_) = false;
};

// A worker of a sync training: all steps, and again from the start of each new generation.
void TrainSlices(const SyntheticTraining& training, int worker, int workers, int64_t steps,
                 Generation* generation, RemoteParameters* parameters) {
  RunId run;
  int64_t step = 0;
  while (generation->Next(&run, &step)) {
    parameters->SetRun(run);
    Status status;
    while (status.ok() && ++step <= steps) {
      const std::vector<int> slices = SlicesFor(worker, workers, step);
      if (slices.empty()) continue;
      std::vector<int> next;
      if (worker % 2 == 1 && step < steps) next = SlicesFor(worker, workers, step + 1);
      status = training.SlicesOfStep(step, slices, next, parameters);
    }
    EXPECT_TRUE(status.ok() || absl::IsAborted(status)) << status;
  }
}

// The workers of a training, each on a thread.
class Workers {
 public:
  Workers(const SyntheticTraining& training, Cluster* cluster, int workers, int64_t steps,
          Generation* generation) {
    for (int w = 0; w < workers; ++w) parameters_.push_back(cluster->NewWorker(w));
    for (int w = 0; w < workers; ++w) {
      threads_.emplace_back([=, &training, this] {
        TrainSlices(training, w, workers, steps, generation, parameters_[w].get());
      });
    }
  }
  ~Workers() { Join(); }
  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  void SetRun(const RunId& run) {
    for (auto& parameters : parameters_) parameters->SetRun(run);
  }

 private:
  std::vector<std::unique_ptr<RemoteParameters>> parameters_;
  std::vector<std::thread> threads_;
};

TEST(SyncTraining, SameBitsAsOneProcessForAnyServersAndWorkers) {
  constexpr int64_t kSteps = 14;
  const SyntheticTraining training;
  const CheckpointContents wanted = TrainedLocally(training, kSteps);
  EXPECT_GT(wanted.rows[1].size(), 5u);
  EXPECT_GT(wanted.filtered[1].size(), 50u);
  uint64_t seed = 0;
  for (const int servers : {1, 2, 3, 5}) {
    for (const int workers : {1, 2, 3, 8}) {
      Cluster cluster(TrainMode::kSync, servers, Lossy(++seed), training.tables(),
                      training.dense());
      const RunId run{.run = 5, .generation = 1};
      ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
      Generation generation;
      generation.Set(run, 0, true);
      Workers(training, &cluster, workers, kSteps, &generation).Join();
      const auto answers =
          cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end", .step = kSteps});
      ASSERT_TRUE(answers.ok()) << answers.status();
      EXPECT_EQ(answers->at(0).part_prefix, "end.part0");
      EXPECT_TRUE(cluster.checkpoints().Contents("end") == wanted) << servers << " " << workers;
      EXPECT_EQ(cluster.server(0).statistics().pushes, kSteps * SyntheticTraining::kSlices);
    }
  }
}

// A server is killed after a cut, and all go back to it. Another job goes on from the same cut with
// another number of servers.
TEST(SyncTraining, GoesOnFromACutWithTheSameBits) {
  constexpr int64_t kSteps = 16, kCut = 6;
  constexpr int kWorkers = 3;
  const SyntheticTraining training;
  const CheckpointContents wanted = TrainedLocally(training, kSteps);
  Cluster cluster(TrainMode::kSync, 2, Lossy(3), training.tables(), training.dense());
  RunId run{.run = 5, .generation = 1};
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run}).ok());
  Generation first;
  first.Set(run, 0, true);
  Workers(training, &cluster, kWorkers, kCut, &first).Join();
  ASSERT_TRUE(
      cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "cut", .step = kCut}).ok());

  Generation second;
  second.Set(run, kCut, false);
  Workers workers(training, &cluster, kWorkers, kSteps, &second);
  while (cluster.server(0).statistics().applied_step < kCut + 3) std::this_thread::yield();
  cluster.StopServer(1);
  cluster.StartServer(1);
  run.generation = 2;
  ASSERT_TRUE(cluster.Control({.kind = ControlKind::kBegin, .run = run, .prefix = "cut"}).ok());
  EXPECT_EQ(cluster.server(1).statistics().applied_step, kCut);
  second.Set(run, kCut, true);
  workers.SetRun(run);
  workers.Join();
  ASSERT_TRUE(
      cluster.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end", .step = kSteps})
          .ok());
  EXPECT_TRUE(cluster.checkpoints().Contents("end") == wanted);

  Cluster other(TrainMode::kSync, 3, Lossy(4), training.tables(), training.dense());
  other.checkpoints().Add("cut", cluster.checkpoints().Contents("cut"));
  ASSERT_TRUE(other.Control({.kind = ControlKind::kBegin, .run = run, .prefix = "cut"}).ok());
  Generation third;
  third.Set(run, kCut, true);
  Workers(training, &other, kWorkers, kSteps, &third).Join();
  ASSERT_TRUE(
      other.Control({.kind = ControlKind::kCut, .run = run, .prefix = "end", .step = kSteps}).ok());
  EXPECT_TRUE(other.checkpoints().Contents("end") == wanted);
}

}  // namespace
}  // namespace capstan
