// Says in time that a server's memory is getting full, and of what.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/memory_use.h"

namespace capstan {

struct TableMemory {
  std::string name;
  int64_t rows = 0, bytes = 0;
};

// One thread.
class MemoryWatch {
 public:
  // The line to log when 80 % or 95 % of the limit has been passed since the last call; nothing
  // else. Each once until the use has been 5 points below.
  std::optional<std::string> Look(const MemoryUse& use, std::vector<TableMemory> tables);

 private:
  static constexpr std::array<double, 2> kThresholds = {0.80, 0.95};

  std::array<bool, kThresholds.size()> told_{};
};

}  // namespace capstan
