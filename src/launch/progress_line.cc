#include "launch/progress_line.h"

#include <cctype>
#include <cstdlib>
#include <string>

namespace capstan {
namespace {

bool IsWord(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The number behind the word "step", with blanks, ':' or '=' between; -1: none.
int64_t StepIn(std::string_view line) {
  for (size_t at = 0; at + 4 < line.size(); ++at) {
    const bool word = (line[at] == 'S' || line[at] == 's') && line.substr(at + 1, 3) == "tep" &&
                      (at == 0 || !IsWord(line[at - 1]) || line[at - 1] == '_');
    if (!word) continue;
    const size_t digits = line.find_first_not_of(" :=", at + 4);
    if (digits == std::string_view::npos || digits == at + 4) continue;
    size_t end = digits;
    while (end < line.size() && std::isdigit(static_cast<unsigned char>(line[end])) != 0) ++end;
    if (end == digits || end - digits > 18) continue;
    return std::strtoll(std::string(line.substr(digits, end - digits)).c_str(), nullptr, 10);
  }
  return -1;
}

double RateIn(std::string_view line) {
  const size_t end = line.find(" examples/s");
  if (end == std::string_view::npos) return -1;
  size_t begin = end;
  while (begin > 0 && (std::isdigit(static_cast<unsigned char>(line[begin - 1])) != 0 ||
                       line[begin - 1] == '.')) {
    --begin;
  }
  return begin == end ? -1
                      : std::strtod(std::string(line.substr(begin, end - begin)).c_str(), nullptr);
}

}  // namespace

bool TakeProgress(std::string_view line, Progress* progress) {
  const int64_t step = StepIn(line);
  if (step < 0) return false;
  progress->step = step;
  const double rate = RateIn(line);
  if (rate >= 0) progress->examples_per_second = rate;
  return true;
}

}  // namespace capstan
