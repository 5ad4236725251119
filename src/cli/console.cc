#include "cli/console.h"

#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace capstan {
namespace {
constexpr int kBarWidth = 30;

std::string TimeLeft(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60);
}
}  // namespace

Console::Console(bool json, bool quiet)
    : terminal_(::isatty(STDERR_FILENO) == 1 && !json), quiet_(quiet) {
  auto logger = std::make_shared<spdlog::logger>(json ? "json" : "text",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  // The scripts' form: the level padded to eight letters.
  logger->set_pattern(json ? R"({"time": "%Y-%m-%dT%H:%M:%S.%f%z", "level": "%l", "message": %v})"
                           : "%Y-%m-%d %H:%M:%S INFO     %v");
  spdlog::set_default_logger(logger);
}

Console::~Console() {
  MutexLock lock(&mutex_);
  ClearBar();
}

void Console::Log(const std::string& line) {
  if (quiet_) return;
  MutexLock lock(&mutex_);
  ClearBar();
  const std::string text = task_.empty() ? line : task_ + ": " + line;
  const bool json = spdlog::default_logger()->name() == "json";
  spdlog::default_logger()->log(spdlog::level::info, "{}",
                                json ? nlohmann::json(text).dump() : text);
  spdlog::default_logger()->flush();
}

void Console::ShowProgress(const SessionProgress& progress) {
  if (!terminal_ || quiet_ || progress.fraction <= 0) return;
  MutexLock lock(&mutex_);
  const double fraction = std::min(progress.fraction, 1.0);
  const int full = static_cast<int>(fraction * kBarWidth);
  std::string bar(full, '#');
  bar.resize(kBarWidth, '.');
  std::fprintf(stderr, "\r[%s] %3.0f%%  step %lld  %.0f examples/s", bar.c_str(), fraction * 100,
               static_cast<long long>(progress.step), progress.examples_per_s);
  if (progress.seconds_left >= 0)
    std::fprintf(stderr, "  %s left", TimeLeft(progress.seconds_left).c_str());
  std::fprintf(stderr, "\033[K");
  std::fflush(stderr);
  bar_shown_ = true;
}

void Console::ClearBar() {
  if (!bar_shown_) return;
  std::fprintf(stderr, "\r\033[K");
  std::fflush(stderr);
  bar_shown_ = false;
}

}  // namespace capstan
