#include "net/status_routes.h"

#include <utility>

namespace capstan {

HttpServer::Handler MetricsRoute(std::function<void(MetricsPage*)> fill) {
  return [fill = std::move(fill)] {
    MetricsPage page;
    fill(&page);
    return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                        .body = page.Text()};
  };
}

HttpServer::Handler HealthRoute(std::function<StatusOr<std::string>()> check) {
  return [check = std::move(check)] {
    const StatusOr<std::string> text = check();
    if (text.ok()) return HttpResponse{.body = *text + "\n"};
    return HttpResponse{.status = 503, .body = Message(text.status()) + "\n"};
  };
}

}  // namespace capstan
