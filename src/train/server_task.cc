#include "train/server_task.h"

#include <fmt/format.h>

#include <thread>

#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "model/model.h"
#include "model/model_file.h"
#include "train/cluster_hello.h"
#include "train/parameter_reader.h"
#include "train/parameter_writer.h"

namespace capstan {
namespace {
constexpr std::chrono::milliseconds kTick{20};
constexpr std::chrono::seconds kBetweenLogs{10};
constexpr std::chrono::seconds kBetweenMemory{1};
}  // namespace

ServerTask::ServerTask(FileSystem* fs, WorkerPool* pool, Clock* clock,
                       const ClusterOptions& options, std::function<void(const std::string&)> log)
    : fs_(fs), pool_(pool), clock_(clock), options_(options), log_(std::move(log)) {
  MutexLock lock(&mutex_);
  last_heard_ = clock_->Monotonic();
}

ServerTask::~ServerTask() = default;

std::shared_ptr<ParameterServer> ServerTask::server() const {
  MutexLock lock(&mutex_);
  return server_;
}

ParameterServer::Statistics ServerTask::statistics() const {
  const std::shared_ptr<ParameterServer> current = server();
  return current == nullptr ? ParameterServer::Statistics() : current->statistics();
}

void ServerTask::Handle(Method method, std::string request, Reply reply) {
  {
    MutexLock lock(&mutex_);
    last_heard_ = clock_->Monotonic();
  }
  if (method == Method::kHello) return reply(AnswerHello(request));
  if (method == Method::kSetup) {
    const Status status = Setup(request);
    if (!status.ok()) return reply(status);
    return reply(std::string());
  }
  const std::shared_ptr<ParameterServer> current = server();
  if (current == nullptr || method == Method::kLease) {
    return reply(MakeStatus(absl::StatusCode::kUnavailable,
                            options_.spec.task_name() + " waits for the chief"));
  }
  if (method == Method::kPull) return current->Pull(std::move(request), std::move(reply));
  if (method == Method::kPush) return current->Push(std::move(request), std::move(reply));
  current->Control(std::move(request), std::move(reply));
}

StatusOr<std::string> ServerTask::AnswerHello(const std::string& request) {
  ASSIGN_OR_RETURN(const HelloMessage theirs, HelloMessage::Decode(request));
  HelloMessage ours = MakeHello(options_, theirs.task, theirs.model_hash);
  RETURN_IF_ERROR(CompareHello(ours, theirs));
  MutexLock lock(&mutex_);
  ours.run.run = run_;
  return ours.Encode();
}

Status ServerTask::Setup(const std::string& request) {
  ASSIGN_OR_RETURN(const SetupMessage setup, SetupMessage::Decode(request));
  RETURN_IF_ERROR(
      CompareHello(MakeHello(options_, setup.chief.task, setup.chief.model_hash), setup.chief));
  {
    MutexLock lock(&mutex_);
    if (server_ != nullptr && run_ == setup.run) return OkStatus();
  }
  ASSIGN_OR_RETURN(const ModelSpec spec, ParseModelFile(setup.model_file, "model of the chief"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, NewModel(spec));
  const int servers = static_cast<int>(options_.spec.ps.size());
  const auto sharding =
      std::make_shared<const Sharding>(model->tables(), model->dense_variables(), servers);
  ParameterServerOptions options;
  options.index = options_.spec.index;
  options.servers = servers;
  options.mode = setup.mode;
  options.slices = setup.slices;
  options.seed = spec.seed;
  options.tables = model->tables();
  options.dense = model->dense_variables();
  options.rate_factor = [schedule = spec.schedule](int64_t step) {
    return FactorAt(schedule, step - 1);
  };
  auto server = std::make_shared<ParameterServer>(
      options, pool_,
      MakeStorage(sharding, model->tables(),
                  DensePieceSpecs(*sharding, options.index, model->dense_variables())));
  MutexLock lock(&mutex_);
  server_ = std::move(server);
  run_ = setup.run;
  log_(fmt::format("{} serves {} of the parameters for {}", options_.spec.task_name(),
                   servers == 1 ? "all" : fmt::format("1/{}", servers), setup.chief.task));
  return OkStatus();
}

ParameterServer::Storage ServerTask::MakeStorage(std::shared_ptr<const Sharding> sharding,
                                                 std::vector<TableSpec> tables,
                                                 std::vector<DenseSpec> pieces) {
  const int index = options_.spec.index;
  ParameterServer::Storage storage;
  storage.restore = [this, sharding, index](const std::string& prefix, LocalParameters* parameters,
                                            int64_t* step,
                                            std::vector<LeaseMark>* marks) -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                     TensorBundleReader::Open(*fs_, prefix));
    ReadParametersOptions options;
    options.wants = [&](int table, uint64_t key) {
      return sharding->ServerOf(table, key) == index;
    };
    RETURN_IF_ERROR(ReadParameters(*reader, options, parameters));
    ASSIGN_OR_RETURN(const std::vector<int64_t> steps, reader->ReadInts("global_step"));
    if (steps.size() != 1) return Error("checkpoint {}: global_step is no scalar", prefix);
    *step = steps[0];
    if (reader->Find("capstan/lease_marks") == nullptr) return OkStatus();
    ASSIGN_OR_RETURN(const std::vector<int64_t> pairs, reader->ReadInts("capstan/lease_marks"));
    for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
      marks->push_back({.lease = static_cast<uint64_t>(pairs[i]), .index = pairs[i + 1]});
    }
    return OkStatus();
  };
  storage.write = [this, index, tables = std::move(tables), pieces = std::move(pieces)](
                      const std::string& prefix, int64_t step, const std::vector<LeaseMark>&,
                      std::unique_ptr<Snapshot> snapshot) -> StatusOr<std::string> {
    const std::string part = fmt::format("{}.part-{}", prefix, index);
    ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                     TensorBundleWriter::Create(*fs_, part));
    RETURN_IF_ERROR(
        WriteParameters(tables, pieces, {.is_part = true}, snapshot.get(), writer.get()));
    RETURN_IF_ERROR(writer->Finish());
    return part;
  };
  return storage;
}

std::string ServerTask::waits_for() const {
  if (server() != nullptr) return "";
  return fmt::format("waiting for the chief ({})", options_.spec.chief_address());
}

void ServerTask::LookAtMemory() {
  const StatusOr<MemoryUse> use = ReadMemoryUse(*fs_);
  if (!use.ok()) return;
  std::vector<TableMemory> tables;
  for (const ParameterServer::TableStatistics& table : statistics().tables) {
    tables.push_back({.name = table.name, .rows = table.rows, .bytes = table.memory_bytes});
  }
  const std::optional<std::string> line = memory_watch_.Look(*use, std::move(tables));
  if (line.has_value()) log_(*line);
}

ClusterEnd ServerTask::Run(const std::function<bool()>& stop) {
  const auto start = clock_->Monotonic();
  auto last_log = start, last_memory = start;
  for (;;) {
    std::this_thread::sleep_for(kTick);
    if (stop()) return {.stopped = true};
    const std::shared_ptr<ParameterServer> current = server();
    if (current != nullptr && current->ended()) return {};
    const auto now = clock_->Monotonic();
    std::chrono::microseconds silent;
    {
      MutexLock lock(&mutex_);
      silent = now - last_heard_;
    }
    if (now - last_memory >= kBetweenMemory) {
      last_memory = now;
      LookAtMemory();
    }
    const bool started = current != nullptr;
    const auto patience = started ? options_.peer_timeout : options_.start_timeout;
    if (silent >= patience) {
      const double seconds = std::chrono::duration<double>(silent).count();
      return {.peers_gone = started,
              .message =
                  fmt::format("{} has heard nothing of the chief{} for {:.0f} s",
                              options_.spec.task_name(), started ? " or a worker" : "", seconds)};
    }
    if (!started && now - last_log >= kBetweenLogs) {
      last_log = now;
      log_(waits_for());
    }
  }
}

}  // namespace capstan
