// Faults of a task's own disk, told to a peer.
#pragma once

#include <utility>

#include "base/status.h"

namespace capstan {

// A disk that is full is no connection that breaks, and is not to be tried again as one: kInternal
// in the place of the codes that say so of a network.
inline Status LocalFault(const Status& status) {
  const bool is_like_network =
      absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsDeadlineExceeded(status);
  return is_like_network ? MakeStatus(absl::StatusCode::kInternal, Message(status)) : status;
}
template <typename T>
StatusOr<T> LocalFault(StatusOr<T> result) {
  if (!result.ok()) return LocalFault(result.status());
  return result;
}

}  // namespace capstan
