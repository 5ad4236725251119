#include "launch/step_line.h"

#include <charconv>

namespace capstan {

bool ParseStepLine(std::string_view line, StepLine* found) {
  constexpr std::string_view kStep = "Step: ", kRate = " examples/s";
  const size_t at = line.find(kStep);
  if (at == std::string_view::npos) return false;
  const char* begin = line.data() + at + kStep.size();
  const char* end = line.data() + line.size();
  *found = {};
  if (std::from_chars(begin, end, found->step).ec != std::errc() || found->step < 0) return false;
  const size_t rate = line.find(kRate, at);
  if (rate == std::string_view::npos) return true;
  const size_t before = line.rfind(' ', rate - 1);
  double value = -1;
  const auto result = std::from_chars(line.data() + before + 1, line.data() + rate, value);
  if (result.ec == std::errc() && value >= 0) found->examples_per_second = value;
  return true;
}

}  // namespace capstan
