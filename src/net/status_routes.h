// The two paths at which a task is watched.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "net/http_server.h"
#include "net/metrics_page.h"

namespace capstan {

// For "/metrics". `fill` is called for each answer, on the server's thread.
HttpServer::Handler MetricsRoute(std::function<void(MetricsPage*)> fill);

// For "/healthz": 200 with the text of `check` (what the task does), or 503 with its message.
HttpServer::Handler HealthRoute(std::function<StatusOr<std::string>()> check);

}  // namespace capstan
