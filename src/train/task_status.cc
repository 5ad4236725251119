#include "train/task_status.h"

#include <utility>

#include "base/memory_use.h"
#include "net/status_routes.h"
#include "train/task_metrics.h"

namespace capstan {

StatusOr<std::unique_ptr<TaskStatus>> TaskStatus::Start(int port, FileSystem* fs,
                                                        const ClusterSpec& spec, Sources sources) {
  auto status = std::make_unique<TaskStatus>();
  if (port == 0) return status;
  const auto metrics = [fs, &spec, add = std::move(sources.metrics)](MetricsPage* page) {
    AddTaskMetrics(spec, ReadMemoryUse(*fs).value_or(MemoryUse()), page);
    add(page);
  };
  const auto health = [waits_for = std::move(sources.waits_for)]() -> StatusOr<std::string> {
    const std::string text = waits_for();
    return text.empty() ? "ok" : "ok: " + text;
  };
  HttpServerOptions options;
  options.port = port;
  ASSIGN_OR_RETURN(status->server_,
                   HttpServer::Start(options, {{"/metrics", MetricsRoute(metrics)},
                                               {"/healthz", HealthRoute(health)}}));
  return status;
}

TaskStatus::~TaskStatus() {
  if (server_ != nullptr) server_->Stop();
}

}  // namespace capstan
