// The error type of the whole program: absl::Status, and what makes it short to use.
//
// A message is one sentence that names doing what, to what, found what, wanted what:
//   return Error("read tfrecord {} at offset {}: length crc {:#x}, expected {:#x}", …);
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace capstan {

using absl::OkStatus;
using absl::Status;
using absl::StatusOr;

// The text of `status` as a std::string (Debian's absl::string_view is not std::string_view).
std::string Message(const Status& status);

// `status` with "prefix: " in front of its message; OK stays OK.
Status Annotate(const Status& status, const std::string& prefix);

Status MakeStatus(absl::StatusCode code, const std::string& message);

// Bad input, bad flags, bad files: what the caller gave is wrong (kInvalidArgument).
template <typename... Args>
Status Error(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kInvalidArgument,
                    fmt::format(format, std::forward<Args>(args)...));
}
// Bytes that are not what they claim to be (kDataLoss).
template <typename... Args>
Status CorruptionError(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kDataLoss, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
Status NotFoundError(fmt::format_string<Args...> format, Args&&... args) {
  return MakeStatus(absl::StatusCode::kNotFound, fmt::format(format, std::forward<Args>(args)...));
}
// The system refused: disk full, permission, … (kUnavailable). `errno_value` is put into words.
Status SystemError(const std::string& what, int errno_value);

// Marks what flags are to blame for, whatever its code: such a command ends with exit code 2.
Status UsageError(Status status);
bool IsUsageError(const Status& status);

}  // namespace capstan

#define CAPSTAN_CONCAT_INNER(a, b) a##b
#define CAPSTAN_CONCAT(a, b) CAPSTAN_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                                           \
  do {                                                                  \
    if (::absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F());  `x` is declared in, or assigned in, the caller's scope.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_INNER(CAPSTAN_CONCAT(status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_INNER(tmp, lhs, expr) \
  auto tmp = (expr);                           \
  if (!tmp.ok()) return tmp.status();          \
  lhs = std::move(tmp).value()
