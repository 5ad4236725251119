// The answer to a pull: rows and dense weights, gathered into one message.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "base/worker_pool.h"
#include "params/local_parameters.h"
#include "ps/gradient_sum.h"
#include "ps/messages.h"

namespace capstan {

// Rows as of step `step`: what LocalParameters::Pull(step) would give (or Lookup, if the request is
// no training), but nothing changes. `dense`: the ranges that a message has, in order. Errors: an id
// that a table cannot have.
StatusOr<std::string> GatherPull(const PullRequest& request, int64_t step, int64_t applied_step,
                                 std::span<const FloatRange> dense, LocalParameters* parameters,
                                 WorkerPool* pool);

}  // namespace capstan
