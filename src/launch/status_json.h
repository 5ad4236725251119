// A job's status as JSON: between processes of a local job, and for `capstan status --json`.
#pragma once

#include <string>

#include "base/status.h"
#include "launch/job_status.h"

namespace capstan {

// One object, on one line. Unknown numbers are left out.
std::string StatusToJson(const JobStatus& status);
// kDataLoss for what is none.
StatusOr<JobStatus> StatusFromJson(const std::string& text);

}  // namespace capstan
