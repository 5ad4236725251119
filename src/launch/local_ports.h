// Ports of this machine for the tasks of local jobs.
#pragma once

#include <set>

#include "base/random.h"
#include "base/status.h"

namespace capstan {

// Each call gives another port that is free now on 127.0.0.1. Below those that the kernel gives to
// callers: a task that is started again finds its own free.
class LocalPorts {
 public:
  explicit LocalPorts(uint64_t seed) : random_(seed) {}
  StatusOr<int> Choose();

 private:
  RandomStream random_;
  std::set<int> given_;
};

}  // namespace capstan
