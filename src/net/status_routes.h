// The two paths at which a task is watched.
#pragma once

#include <functional>

#include "base/status.h"
#include "net/http_server.h"
#include "net/metrics.h"

namespace capstan {

// For "/metrics". `refresh` is called before each answer, on the server's thread: it sets the
// gauges that are not kept up to date all the time. `metrics` must outlive the server.
HttpServer::Handler MetricsRoute(const MetricsRegistry* metrics,
                                 std::function<void()> refresh = nullptr);

// For "/healthz": 200 "ok", or 503 with the message of `check`.
HttpServer::Handler HealthRoute(std::function<Status()> check);

}  // namespace capstan
