#include "train/cluster_task.h"

#include <atomic>
#include <thread>

#include "base/mutex.h"
#include "ps/grpc_server.h"
#include "ps/grpc_transport.h"
#include "train/checkpoint_evaluator.h"
#include "train/cluster_chief.h"
#include "train/cluster_worker.h"
#include "train/server_task.h"
#include "train/task_metrics.h"
#include "train/task_status.h"
#include "train/wait_notice.h"

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

// What an evaluator found last.
struct LastEvaluation {
  Mutex mutex;
  int64_t step GUARDED_BY(mutex) = -1;
  EvaluationResult result GUARDED_BY(mutex);
};

SessionHooks WithNotice(SessionHooks hooks, WaitNotice* notice) {
  hooks.waiting = [notice](const std::string& what) { notice->Set(what); };
  return hooks;
}

StatusOr<ClusterEnd> RunServer(FileSystem* fs, Clock* clock, const ClusterTaskOptions& options,
                               const SessionHooks& hooks) {
  WorkerPool pool(options.threads);
  GrpcTransport transport(options.security);
  ServerTask task(fs, &pool, clock, &transport, options.cluster, options.session.checkpoint_path,
                  hooks.log);
  TaskStatus::Sources sources;
  sources.metrics = [&task](MetricsPage* page) { AddServerMetrics(task.statistics(), page); };
  sources.waits_for = [&task] { return task.waits_for(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, fs, options.cluster.spec, sources));
  ASSIGN_OR_RETURN(std::unique_ptr<GrpcServer> server,
                   GrpcServer::Start(ListenAddress(options.cluster.spec.own_address()), &task,
                                     options.security));
  const ClusterEnd end = task.Run(hooks.stop_requested);
  server->Stop(kStopGrace);
  return end;
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
  WaitNotice notice;
  const SessionHooks own_hooks = WithNotice(hooks, &notice);
  ClusterWorker worker(fs, &pool, clock, &transport, measured, options.session, options.cluster,
                       own_hooks);
  RETURN_IF_ERROR(worker.Open());
  TaskStatus::Sources sources;
  sources.metrics = [&worker](MetricsPage* page) { AddWorkerMetrics(worker.statistics(), page); };
  sources.waits_for = [&notice] { return notice.text(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, fs, options.cluster.spec, sources));
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
  WaitNotice notice;
  const SessionHooks own_hooks = WithNotice(hooks, &notice);
  ClusterChief chief(fs, &chief_pool, clock, &transport, spec, options.session, options.cluster,
                     own_hooks);
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
  TaskStatus::Sources sources;
  sources.metrics = [&chief, &worker](MetricsPage* page) {
    AddChiefMetrics(chief.statistics(), page);
    AddWorkerMetrics(worker.statistics(), page);
  };
  sources.waits_for = [&notice] { return notice.text(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, fs, options.cluster.spec, sources));
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

StatusOr<ClusterEnd> RunEvaluator(FileSystem* fs, Clock* clock, const ClusterTaskOptions& options,
                                  const SessionHooks& hooks) {
  WaitNotice notice;
  LastEvaluation last;
  TaskStatus::Sources sources;
  sources.metrics = [&last](MetricsPage* page) {
    MutexLock lock(&last.mutex);
    AddValidationMetrics(last.step, last.result, page);
  };
  sources.waits_for = [&notice] { return notice.text(); };
  ASSIGN_OR_RETURN(const std::unique_ptr<TaskStatus> status,
                   TaskStatus::Start(options.metrics_port, fs, options.cluster.spec, sources));
  return EvaluateCheckpoints(fs, clock, options.session, options.threads,
                             WithNotice(hooks, &notice),
                             [&last](int64_t step, const EvaluationResult& result) {
                               MutexLock lock(&last.mutex);
                               last.step = step;
                               last.result = result;
                             });
}

}  // namespace

StatusOr<ClusterEnd> RunClusterTask(FileSystem* fs, Clock* clock,
                                    const std::optional<ModelSpec>& spec,
                                    const ClusterTaskOptions& options, const SessionHooks& hooks) {
  const ClusterSpec& cluster = options.cluster.spec;
  if (cluster.role == TaskRole::kPs) return RunServer(fs, clock, options, hooks);
  if (!spec.has_value()) return Error("{} has no model", cluster.task_name());
  if (cluster.role == TaskRole::kEvaluator) {
    return RunEvaluator(fs, clock, options, hooks);
  }
  return cluster.is_chief() ? RunChief(fs, clock, *spec, options, hooks)
                            : RunWorker(fs, clock, *spec, options, hooks);
}

}  // namespace capstan
