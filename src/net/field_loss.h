// An API server that does not know a field, or has it switched off, drops it and says nothing: what
// was sent is held against what came back.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace capstan {

// Paths of fields of `sent` that `returned` (both JSON objects) has not: "spec.completionMode",
// "spec.template.spec.containers[worker].resources". Values may differ (servers write quantities
// their own way); empty ones (0, false, "", [], {}) may be gone.
StatusOr<std::vector<std::string>> LostFields(const std::string& sent, const std::string& returned);

// "Kubernetes 1.24" for a path that came with a version; "" for others.
std::string VersionOfField(const std::string& path);

}  // namespace capstan
