#include "train/server_task.h"

#include <fmt/format.h>

#include <thread>

#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "model/model.h"
#include "model/model_file.h"
#include "ps/remote_files.h"
#include "train/cluster_hello.h"
#include "train/folder_nonce.h"
#include "train/parameter_reader.h"
#include "train/parameter_writer.h"
#include "train/rescue.h"

namespace capstan {
namespace {
constexpr std::chrono::milliseconds kTick{20};
constexpr std::chrono::seconds kBetweenLogs{10};
constexpr std::chrono::seconds kBetweenMemory{1};

// A sparse TF_CONFIG may leave it to the chief to say who that is.
std::string AddressOfChief(const ClusterSpec& spec, const HelloMessage& chief) {
  if (!spec.chief_address().empty()) return spec.chief_address();
  return chief.chief.empty() ? chief.worker_hosts.substr(0, chief.worker_hosts.find(','))
                             : chief.chief;
}

}  // namespace

struct ServerTask::Serving {
  ~Serving() { StopFiles(); }
  // Whatever waits for the chief's files ends.
  void StopFiles() {
    if (remote != nullptr) remote->Stop();
  }

  SetupMessage setup;
  std::vector<TableSpec> tables;
  std::vector<DenseSpec> pieces;
  std::unique_ptr<const Sharding> sharding;
  std::unique_ptr<RemoteFiles> remote;  // the chief's folder, when it is not seen from here
  FileSystem* files = nullptr;          // where checkpoints are
  std::unique_ptr<ParameterServer> server;
};

ServerTask::ServerTask(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport,
                       const ClusterOptions& options, std::string own_folder,
                       std::function<void(const std::string&)> log)
    : fs_(fs),
      pool_(pool),
      clock_(clock),
      transport_(transport),
      options_(options),
      own_folder_(std::move(own_folder)),
      log_(std::move(log)) {
  MutexLock lock(&mutex_);
  last_heard_ = clock_->Monotonic();
}

ServerTask::~ServerTask() = default;

std::shared_ptr<ServerTask::Serving> ServerTask::serving() const {
  MutexLock lock(&mutex_);
  return serving_;
}

ParameterServer::Statistics ServerTask::statistics() const {
  const std::shared_ptr<Serving> current = serving();
  return current == nullptr ? ParameterServer::Statistics() : current->server->statistics();
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
  const std::shared_ptr<Serving> current = serving();
  if (current == nullptr || method == Method::kLease || method == Method::kFile) {
    return reply(MakeStatus(absl::StatusCode::kUnavailable,
                            options_.spec.task_name() + " waits for the chief"));
  }
  ParameterServer& server = *current->server;
  if (method == Method::kPull) return server.Pull(std::move(request), std::move(reply));
  if (method == Method::kPush) return server.Push(std::move(request), std::move(reply));
  server.Control(std::move(request), std::move(reply));
}

StatusOr<std::string> ServerTask::AnswerHello(const std::string& request) {
  ASSIGN_OR_RETURN(const HelloMessage theirs, HelloMessage::Decode(request));
  HelloMessage ours = MakeHello(options_, theirs.task, theirs.model_hash);
  RETURN_IF_ERROR(CompareHello(ours, theirs));
  const std::shared_ptr<Serving> current = serving();
  if (current != nullptr) ours.run.run = current->setup.run;
  return ours.Encode();
}

Status ServerTask::Setup(const std::string& request) {
  ASSIGN_OR_RETURN(const SetupMessage setup, SetupMessage::Decode(request));
  RETURN_IF_ERROR(
      CompareHello(MakeHello(options_, setup.chief.task, setup.chief.model_hash), setup.chief));
  MutexLock setup_lock(&setup_mutex_);
  std::shared_ptr<Serving> old = serving();
  if (old != nullptr && old->setup.run == setup.run) return OkStatus();
  // The old one's last part is written to its end, or given up, before the new one may write.
  {
    MutexLock lock(&mutex_);
    serving_ = nullptr;
  }
  if (old != nullptr) {
    old->StopFiles();
    old->server->Close();
    old = nullptr;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<Serving> made, NewServing(setup));
  const int servers = static_cast<int>(options_.spec.ps.size());
  log_(fmt::format("{} serves {} of the parameters for {}", options_.spec.task_name(),
                   servers == 1 ? "all" : fmt::format("1/{}", servers), setup.chief.task));
  if (made->remote != nullptr) {
    log_(fmt::format("the folder {} of {} is not seen from here: its checkpoints go over the wire",
                     setup.folder, setup.chief.task));
  }
  MutexLock lock(&mutex_);
  serving_ = std::move(made);
  return OkStatus();
}

StatusOr<std::shared_ptr<ServerTask::Serving>> ServerTask::NewServing(const SetupMessage& setup) {
  ASSIGN_OR_RETURN(const ModelSpec spec, ParseModelFile(setup.model_file, "model of the chief"));
  ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, NewModel(spec));
  ParameterServerOptions options;
  options.index = options_.spec.index;
  options.servers = static_cast<int>(options_.spec.ps.size());
  options.incarnation = options_.incarnation;
  options.mode = setup.mode;
  options.slices = setup.slices;
  options.seed = spec.seed;
  options.tables = model->tables();
  options.dense = model->dense_variables();
  options.rate_factor = [schedule = spec.schedule](int64_t step) {
    return FactorAt(schedule, step - 1);
  };
  auto made = std::make_shared<Serving>();
  made->setup = setup;
  made->tables = options.tables;
  made->sharding = std::make_unique<const Sharding>(options.tables, options.dense, options.servers);
  made->pieces = DensePieceSpecs(*made->sharding, options.index, options.dense);
  made->files = fs_;
  if (!FolderHasNonce(*fs_, setup.folder, setup.nonce)) {
    made->remote = std::make_unique<RemoteFiles>(
        RemoteFilesOptions{.chief = AddressOfChief(options_.spec, setup.chief),
                           .run = setup.run,
                           .server = options.index,
                           .incarnation = options_.incarnation,
                           .peer_timeout = options_.peer_timeout},
        transport_, clock_);
    made->files = made->remote.get();
  }
  made->server = std::make_unique<ParameterServer>(options, pool_, MakeStorage(made.get()));
  return made;
}

// Both functions belong to the server that `serving` owns.
ParameterServer::Storage ServerTask::MakeStorage(Serving* serving) const {
  const int index = options_.spec.index;
  ParameterServer::Storage storage;
  storage.restore = [serving, index](const std::string& prefix, LocalParameters* parameters,
                                     int64_t* step, std::vector<LeaseMark>* marks) -> Status {
    ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                     TensorBundleReader::Open(*serving->files, prefix));
    ReadParametersOptions options;
    options.wants = [&](int table, uint64_t key) {
      return serving->sharding->ServerOf(table, key) == index;
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
  storage.write = [serving, index](const std::string& prefix, int64_t,
                                   const std::vector<LeaseMark>&,
                                   std::unique_ptr<Snapshot> snapshot) -> StatusOr<std::string> {
    const std::string part = fmt::format("{}.part-{}", prefix, index);
    ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                     TensorBundleWriter::Create(*serving->files, part));
    RETURN_IF_ERROR(WriteParameters(serving->tables, serving->pieces, {.is_part = true},
                                    snapshot.get(), writer.get()));
    RETURN_IF_ERROR(writer->Finish());
    return part;
  };
  return storage;
}

std::string ServerTask::waits_for() const {
  if (serving() != nullptr) return "";
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

std::string ServerTask::SaveWhatIsHeld(Serving* serving) {
  MutexLock setup_lock(&setup_mutex_);  // no other chief comes now
  serving->StopFiles();
  const SetupMessage& setup = serving->setup;
  const bool is_own = serving->remote != nullptr && !own_folder_.empty();
  const std::string& folder = is_own ? own_folder_ : setup.folder;
  RescueState state{.index = options_.spec.index,
                    .servers = static_cast<int>(options_.spec.ps.size()),
                    .mode = setup.mode,
                    .job_hash = setup.chief.model_hash,
                    .model_file = setup.model_file};
  const Status status =
      serving->server->CloseAndSave([&](const ParameterServer::Held& held, Snapshot* snapshot) {
        state.step = held.step;
        state.base_step = held.base_step;
        state.marks = held.marks;
        return WriteRescue(*fs_, folder, state, serving->tables, serving->pieces, snapshot);
      });
  if (absl::IsNotFound(status)) return "it holds nothing to save";
  if (!status.ok()) return "what it holds could not be saved: " + Message(status);
  return "what it holds is saved in " +
         RescuePrefix(folder, state.step, state.index, state.servers);
}

ClusterEnd ServerTask::Run(const std::function<bool()>& stop) {
  const auto start = clock_->Monotonic();
  auto last_log = start, last_memory = start;
  for (;;) {
    std::this_thread::sleep_for(kTick);
    if (stop()) return {.stopped = true};
    const std::shared_ptr<Serving> current = serving();
    if (current != nullptr && current->server->ended()) return {};
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
      ClusterEnd end{.peers_gone = started,
                     .message = fmt::format("{} has heard nothing of the chief{} for {:.0f} s",
                                            options_.spec.task_name(),
                                            started ? " or a worker" : "", seconds)};
      if (started) end.message += "; " + SaveWhatIsHeld(current.get());
      return end;
    }
    if (!started && now - last_log >= kBetweenLogs) {
      last_log = now;
      log_(waits_for());
    }
  }
}

}  // namespace capstan
