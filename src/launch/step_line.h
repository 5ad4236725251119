// What a training program's log says about its progress.
#pragma once

#include <cstdint>
#include <string_view>

namespace capstan {

struct StepLine {
  int64_t step = -1;
  double examples_per_second = -1;  // -1: the line does not say
};

// "… Step: 1200, loss: 0.4, 53000 examples/s", as `capstan train` and the scripts of 2016 write it.
// False: the line says nothing of a step.
bool ParseStepLine(std::string_view line, StepLine* found);

}  // namespace capstan
