// The step and the speed that a training task reports in its log.
#pragma once

#include <cstdint>
#include <string_view>

namespace capstan {

struct Progress {
  int64_t step = -1;                // -1: not known
  double examples_per_second = -1;  // -1: not known
};

// Takes what a line says: "[0:00:34] Step: 100, …, 152000 examples/s" of capstan and of the 2018
// scripts, and whatever else has "step 100", "step=100", "global_step: 100" in it. Whether it said
// something.
bool TakeProgress(std::string_view line, Progress* progress);

}  // namespace capstan
