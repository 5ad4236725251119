#include "net/status_routes.h"

#include <utility>

namespace capstan {

HttpServer::Handler MetricsRoute(const MetricsRegistry* metrics, std::function<void()> refresh) {
  return [metrics, refresh = std::move(refresh)] {
    if (refresh) refresh();
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = metrics->Text()};
  };
}

HttpServer::Handler HealthRoute(std::function<Status()> check) {
  return [check = std::move(check)] {
    const Status status = check();
    if (status.ok()) return HttpResponse{.body = "ok\n"};
    return HttpResponse{.status = 503, .body = Message(status) + "\n"};
  };
}

}  // namespace capstan
