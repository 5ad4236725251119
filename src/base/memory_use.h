// How much memory this process may use, and how much is used.
#pragma once

#include <cstdint>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

struct MemoryUse {
  int64_t used_bytes = 0, limit_bytes = 0;

  double fraction() const {
    return static_cast<double>(used_bytes) / static_cast<double>(limit_bytes);
  }
};

// By the cgroup (v1 or v2) that is nearest to its limit, of this process's and those above it: what
// all processes in it use, but for pages of files that the kernel takes back at will. Where no
// cgroup has a limit: this process's resident memory, and all memory of the machine. Reads /proc
// and /sys/fs/cgroup.
StatusOr<MemoryUse> ReadMemoryUse(FileSystem& fs);

}  // namespace capstan
