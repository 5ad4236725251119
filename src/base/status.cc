#include "base/status.h"

#include <system_error>

#include "absl/strings/cord.h"

namespace capstan {
namespace {
constexpr char kUsageMark[] = "capstan/usage";
}

std::string Message(const Status& status) {
  return std::string(status.message().data(), status.message().size());
}

Status MakeStatus(absl::StatusCode code, const std::string& message) {
  return Status(code, absl::string_view(message.data(), message.size()));
}

Status Annotate(const Status& status, const std::string& prefix) {
  if (status.ok()) return status;
  return MakeStatus(status.code(), prefix + ": " + Message(status));
}

Status SystemError(const std::string& what, int errno_value) {
  const std::string reason = std::generic_category().message(errno_value);
  const auto code =
      errno_value == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kUnavailable;
  return MakeStatus(code, what + ": " + reason);
}

Status UsageError(Status status) {
  if (!status.ok()) status.SetPayload(kUsageMark, absl::Cord());
  return status;
}

bool IsUsageError(const Status& status) { return status.GetPayload(kUsageMark).has_value(); }

}  // namespace capstan
