#include "train/memory_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/number_text.h"

namespace capstan {
namespace {

constexpr double kPointsBelow = 0.05;  // until a threshold counts as not passed again
constexpr size_t kTablesNamed = 3;

constexpr int64_t kGigabyte = 1'000'000'000;

std::string SizeText(int64_t bytes) {
  const double number = static_cast<double>(bytes);
  return bytes < kGigabyte / 10 ? fmt::format("{:.0f} MB", number * 1e-6)
                                : fmt::format("{:.1f} GB", number * 1e-9);
}

// The largest first.
std::string TablesText(std::vector<TableMemory> tables) {
  std::stable_sort(tables.begin(), tables.end(),
                   [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  std::string text;
  for (size_t i = 0; i < std::min(tables.size(), kTablesNamed); ++i) {
    text += fmt::format("; table {}: {}, {} rows", tables[i].name, SizeText(tables[i].bytes),
                        WithCommas(tables[i].rows));
  }
  if (tables.size() > kTablesNamed) {
    text += fmt::format("; the other {} less", tables.size() - kTablesNamed);
  }
  return text;
}

}  // namespace

std::optional<std::string> MemoryWatch::Look(const MemoryUse& use,
                                             std::vector<TableMemory> tables) {
  const double fraction = use.fraction();
  bool is_news = false;
  for (size_t i = 0; i < kThresholds.size(); ++i) {
    if (fraction < kThresholds[i] - kPointsBelow) told_[i] = false;
    if (fraction < kThresholds[i] || told_[i]) continue;
    told_[i] = is_news = true;
  }
  if (!is_news) return std::nullopt;
  return fmt::format(
      "memory: {:.0f} % of {} ({}){}; admission_count and expiry_steps of a table in the model "
      "file, or more servers, would help",
      100 * fraction, SizeText(use.limit_bytes), SizeText(use.used_bytes),
      TablesText(std::move(tables)));
}

}  // namespace capstan
