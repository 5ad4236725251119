#include "net/rfc3339.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>

namespace capstan {

StatusOr<double> ParseRfc3339(const std::string& text) {
  std::tm time{};
  int used = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon,
                  &time.tm_mday, &time.tm_hour, &time.tm_min, &time.tm_sec, &used) != 6) {
    return Error("\"{}\" is no time like 2026-11-24T10:00:00Z", text);
  }
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  double seconds = static_cast<double>(timegm(&time));
  std::string rest = text.substr(static_cast<size_t>(used));
  if (rest.starts_with(".")) {
    const size_t end = std::min(rest.find_first_not_of("0123456789", 1), rest.size());
    for (size_t i = 1; i < end; ++i) seconds += (rest[i] - '0') * std::pow(10.0, -double(i));
    rest.erase(0, end);
  }
  int hours = 0, minutes = 0;
  char sign = '+';
  if (rest != "Z" && std::sscanf(rest.c_str(), "%c%2d:%2d", &sign, &hours, &minutes) != 3) {
    return Error("\"{}\" has no time zone", text);
  }
  return seconds - (sign == '-' ? -1 : 1) * (hours * 3600.0 + minutes * 60.0);
}

}  // namespace capstan
