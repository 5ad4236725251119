// Times as Kubernetes writes them.
#pragma once

#include <string>

#include "base/status.h"

namespace capstan {

// "2026-11-24T10:00:00Z", with or without fractions and offsets → seconds since 1970.
StatusOr<double> ParseRfc3339(const std::string& text);

}  // namespace capstan
