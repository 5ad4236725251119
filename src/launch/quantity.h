// Numbers with units as job files write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace capstan {

// A Kubernetes quantity in base units: "500m" → 0.5, "2Gi" → 2147483648, "1e3" → 1000. Never
// negative. Errors quote the text.
StatusOr<double> ParseQuantity(std::string_view text);

// "90s", "10m", "2h", "1d", "1h30m", "0" → seconds, at most 100 years. A number alone is refused:
// nobody could tell its unit.
StatusOr<int64_t> ParseDuration(std::string_view text);

// The shortest text that ParseDuration reads: 90 → "90s", 600 → "10m".
std::string DurationText(int64_t seconds);

}  // namespace capstan
