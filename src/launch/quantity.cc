#include "launch/quantity.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace capstan {
namespace {

struct Unit {
  std::string_view suffix;
  double factor;
};
constexpr Unit kQuantityUnits[] = {
    {"", 1},
    {"n", 1e-9},
    {"u", 1e-6},
    {"m", 1e-3},
    {"k", 1e3},
    {"M", 1e6},
    {"G", 1e9},
    {"T", 1e12},
    {"P", 1e15},
    {"E", 1e18},
    {"Ki", 1024.0},
    {"Mi", 1048576.0},
    {"Gi", 1073741824.0},
    {"Ti", 1099511627776.0},
    {"Pi", 1125899906842624.0},
    {"Ei", 1152921504606846976.0},
};
struct TimeUnit {
  char letter;
  int64_t seconds;
};
constexpr TimeUnit kTimeUnits[] = {{'d', 86'400}, {'h', 3'600}, {'m', 60}, {'s', 1}};
constexpr int64_t kLongestSeconds = int64_t{36'500} * 86'400;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

}  // namespace

StatusOr<double> ParseQuantity(std::string_view text) {
  const auto bad = [&] {
    return Error("'{}' is no quantity, wanted a number with a unit as 500m, 2, 2Gi", text);
  };
  const char* end = text.data() + text.size();
  if (text.empty() || !(IsDigit(text[0]) || text[0] == '.')) return bad();
  double number = 0;
  // Without an exponent first: in "2E" and "2Ei" the letter is a unit.
  auto result = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (result.ec != std::errc()) return bad();
  const std::string_view rest(result.ptr, static_cast<size_t>(end - result.ptr));
  for (const Unit& unit : kQuantityUnits) {
    if (rest == unit.suffix) return number * unit.factor;
  }
  result = std::from_chars(text.data(), end, number, std::chars_format::scientific);
  if (result.ec != std::errc() || result.ptr != end || !std::isfinite(number)) return bad();
  return number;
}

StatusOr<int64_t> ParseDuration(std::string_view text) {
  const auto bad = [&] {
    return Error("'{}' is no duration, wanted a number with a unit as 90s, 10m, 2h, 1d", text);
  };
  if (text == "0") return 0;
  int64_t total = 0;
  int64_t last_unit = INT64_MAX;
  std::string_view rest = text;
  while (!rest.empty()) {
    int64_t number = 0;
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (result.ec != std::errc() || number < 0 || !IsDigit(rest[0])) return bad();
    rest.remove_prefix(static_cast<size_t>(result.ptr - rest.data()));
    if (rest.empty()) return bad();
    const auto* unit = std::find_if(std::begin(kTimeUnits), std::end(kTimeUnits),
                                    [&](const TimeUnit& u) { return u.letter == rest[0]; });
    // Units fall: 1h30m, not 30m1h.
    if (unit == std::end(kTimeUnits) || unit->seconds >= last_unit) return bad();
    last_unit = unit->seconds;
    rest.remove_prefix(1);
    if (number > kLongestSeconds / unit->seconds) return bad();
    total += number * unit->seconds;
  }
  if (text.empty()) return bad();
  if (total > kLongestSeconds) return Error("'{}' is longer than 100 years", text);
  return total;
}

std::string DurationText(int64_t seconds) {
  if (seconds <= 0) return "0";
  for (const TimeUnit& unit : kTimeUnits) {
    if (seconds % unit.seconds == 0)
      return fmt::format("{}{}", seconds / unit.seconds, unit.letter);
  }
  return "";
}

}  // namespace capstan
