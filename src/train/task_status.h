// /metrics and /healthz of a task, if it is asked for them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "net/http_server.h"
#include "net/metrics_page.h"
#include "ps/cluster_spec.h"

namespace capstan {

class TaskStatus {
 public:
  struct Sources {
    std::function<void(MetricsPage*)> metrics;  // beside those that every task has
    std::function<std::string()> waits_for;     // "": for nothing
  };

  // Listens on all interfaces; `port` 0: nowhere. `fs`, `spec` and what the sources use must
  // outlive it; sources are called on a thread of its own.
  static StatusOr<std::unique_ptr<TaskStatus>> Start(int port, FileSystem* fs,
                                                     const ClusterSpec& spec, Sources sources);
  ~TaskStatus();

 private:
  std::unique_ptr<HttpServer> server_;
};

}  // namespace capstan
