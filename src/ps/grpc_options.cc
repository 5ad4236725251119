#include "ps/grpc_options.h"

namespace capstan {

std::string_view NameOf(Method method) {
  switch (method) {
    case Method::kHello:
      return "Hello";
    case Method::kSetup:
      return "Setup";
    case Method::kPull:
      return "Pull";
    case Method::kPush:
      return "Push";
    case Method::kControl:
      return "Control";
    case Method::kLease:
      return "Lease";
    case Method::kFile:
      return "File";
  }
  return "Unknown";
}

std::string PathOf(Method method) { return fmt::format("/{}/{}", kTaskService, NameOf(method)); }

std::optional<Method> MethodOfPath(std::string_view path) {
  for (int i = 0; i < kMethodCount; ++i) {
    if (path == PathOf(static_cast<Method>(i))) return static_cast<Method>(i);
  }
  return std::nullopt;
}

}  // namespace capstan
