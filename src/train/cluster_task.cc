#include "train/cluster_task.h"

#include <atomic>
#include <thread>

#include "net/http_server.h"
#include "net/metrics.h"
#include "net/status_routes.h"
#include "ps/grpc_server.h"
#include "ps/grpc_transport.h"
#include "train/checkpoint_evaluator.h"
#include "train/cluster_chief.h"
#include "train/cluster_worker.h"
#include "train/server_task.h"

namespace capstan {
namespace {

constexpr std::chrono::milliseconds kStopGrace{500};

// ":2222" of every interface: the name in the list may be a Service's.
std::string ListenAddress(const std::string& own) {
  const bool loopback = own.starts_with("127.") || own.starts_with("localhost:");
  return loopback ? own : "0.0.0.0" + own.substr(own.rfind(':'));
}

// What a worker that is not the chief says to whoever calls it.
class WorkerHandler : public RequestHandler {
 public:
  explicit WorkerHandler(const ClusterOptions& options) : options_(options) {}
  void Handle(Method, std::string, Reply reply) override {
    reply(
        Error("{} was called, but it serves nothing; are the lists of hosts the same in all tasks?",
              options_.spec.task_name()));
  }

 private:
  const ClusterOptions& options_;
};

// /metrics and /healthz of a task, if they are asked for.
class TaskStatus {
 public:
  static StatusOr<std::unique_ptr<TaskStatus>> Start(int port,
                                                     std::function<void(TaskStatus*)> refresh) {
    auto status = std::make_unique<TaskStatus>();
    if (port == 0) return status;
    HttpServerOptions options;
    options.port = port;
    TaskStatus* self = status.get();
    ASSIGN_OR_RETURN(
        status->server_,
        HttpServer::Start(options, {{"/metrics", MetricsRoute(&status->metrics_,
                                                              [self, refresh] { refresh(self); })},
                                    {"/healthz", HealthRoute([] { return OkStatus(); })}}));
    return status;
  }
  ~TaskStatus() {
    if (server_ != nullptr) server_->Stop();
  }
  void Set(const std::string& name, const std::string& description, double value) {
    metrics_.AddGauge(name, description).Set(value);
  }

 private:
  MetricsRegistry metrics_;
  std::unique_ptr<HttpServer> server_;
};

StatusOr<ClusterEnd> RunServer(FileSystem* fs, Clock* clock, const ClusterTaskOptions& options,
                               const SessionHooks& hooks) {
  WorkerPool pool(options.threads);
  ServerTask task(fs, &pool, clock, options.cluster, hooks.log);
  ASSIGN_OR_RETURN(std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, [&task](TaskStatus* out) {
                     const ParameterServer::Statistics s = task.statistics();
                     out->Set("capstan_applied_step", "steps or pushes applied", s.applied_step);
                     out->Set("capstan_pulls_total", "pulls answered", s.pulls);
                     out->Set("capstan_pushes_total", "pushes taken", s.pushes);
                     out->Set("capstan_pushes_dropped_total", "pushes that came again",
                              s.dropped_pushes);
                     out->Set("capstan_received_bytes_total", "of requests", s.bytes_in);
                     out->Set("capstan_sent_bytes_total", "of answers", s.bytes_out);
                     out->Set("capstan_rows", "rows of all tables", s.rows);
                     out->Set("capstan_parameter_bytes", "memory of parameters", s.memory_bytes);
                   }));
  ASSIGN_OR_RETURN(std::unique_ptr<GrpcServer> server,
                   GrpcServer::Start(ListenAddress(options.cluster.spec.own_address()), &task,
                                     options.security));
  const ClusterEnd end = task.Run(hooks.stop_requested);
  server->Stop(kStopGrace);
  return end;
}

void SetWorkerGauges(const RemoteParameters::Statistics& s, TaskStatus* out) {
  out->Set("capstan_pulls_total", "pulls made", s.pulls);
  out->Set("capstan_pushes_total", "pushes made", s.pushes);
  out->Set("capstan_retries_total", "calls made again", s.retries);
  out->Set("capstan_received_bytes_total", "of answers", s.bytes_in);
  out->Set("capstan_sent_bytes_total", "of requests", s.bytes_out);
}

StatusOr<ClusterEnd> RunWorker(FileSystem* fs, Clock* clock, const ModelSpec& spec,
                               const ClusterTaskOptions& options, const SessionHooks& hooks) {
  WorkerPool pool(options.threads);
  GrpcTransport transport(options.security);
  WorkerHandler handler(options.cluster);
  ASSIGN_OR_RETURN(std::unique_ptr<GrpcServer> server,
                   GrpcServer::Start(ListenAddress(options.cluster.spec.own_address()), &handler,
                                     options.security));
  ModelSpec measured = spec;
  RETURN_IF_ERROR(
      MeasureStandardisation(*fs, options.session.train, kStandardiseExamples, &measured.input));
  ClusterWorker worker(fs, &pool, clock, &transport, measured, options.session, options.cluster,
                       hooks);
  RETURN_IF_ERROR(worker.Open());
  ASSIGN_OR_RETURN(std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, [&worker](TaskStatus* out) {
                     SetWorkerGauges(worker.statistics(), out);
                   }));
  StatusOr<ClusterEnd> end = worker.Run();
  server->Stop(kStopGrace);
  if (!end.ok() && absl::IsUnavailable(end.status())) {
    return ClusterEnd{.peers_gone = true, .message = Message(end.status())};
  }
  return end;
}

// The chief also trains, on a thread of its own.
StatusOr<ClusterEnd> RunChief(FileSystem* fs, Clock* clock, const ModelSpec& spec,
                              const ClusterTaskOptions& options, const SessionHooks& hooks) {
  WorkerPool chief_pool(1), worker_pool(options.threads);
  GrpcTransport transport(options.security);
  ClusterChief chief(fs, &chief_pool, clock, &transport, spec, options.session, options.cluster,
                     hooks);
  RETURN_IF_ERROR(chief.Open());
  ASSIGN_OR_RETURN(std::unique_ptr<GrpcServer> server,
                   GrpcServer::Start(ListenAddress(options.cluster.spec.own_address()), &chief,
                                     options.security));
  std::atomic<bool> stop_worker{false};
  SessionHooks worker_hooks;
  worker_hooks.stop_requested = [&] { return stop_worker.load(); };
  ClusterWorker worker(fs, &worker_pool, clock, &transport, chief.spec(), options.session,
                       options.cluster, worker_hooks);
  RETURN_IF_ERROR(worker.Open());
  ASSIGN_OR_RETURN(std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, [&worker](TaskStatus* out) {
                     SetWorkerGauges(worker.statistics(), out);
                   }));
  chief.SetTrainingResult([&worker] { return worker.TrainingResult(); });
  StatusOr<ClusterEnd> worker_end = ClusterEnd();
  std::thread worker_thread([&] {
    worker_end = worker.Run();
    if (!worker_end.ok()) chief.Fail(worker_end.status());
  });
  StatusOr<ClusterEnd> end = chief.Run();
  stop_worker = true;
  chief.Close();
  worker.Stop();
  worker_thread.join();
  server->Stop(kStopGrace);
  return end;
}

}  // namespace

StatusOr<ClusterEnd> RunClusterTask(FileSystem* fs, Clock* clock,
                                    const std::optional<ModelSpec>& spec,
                                    const ClusterTaskOptions& options, const SessionHooks& hooks) {
  const ClusterSpec& cluster = options.cluster.spec;
  if (cluster.role == TaskRole::kPs) return RunServer(fs, clock, options, hooks);
  if (!spec.has_value()) return Error("{} has no model", cluster.task_name());
  if (cluster.role == TaskRole::kEvaluator) {
    return EvaluateCheckpoints(fs, clock, options.session, options.threads, hooks);
  }
  return cluster.is_chief() ? RunChief(fs, clock, *spec, options, hooks)
                            : RunWorker(fs, clock, *spec, options, hooks);
}

}  // namespace capstan
