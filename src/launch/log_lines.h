// Lines out of a stream of bytes in which each line begins with its time.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace capstan {

class LogLines {
 public:
  explicit LogLines(std::function<void(std::string_view)> sink) : sink_(std::move(sink)) {}

  // "2026-11-24T10:00:00.123456789Z words\n…", cut anywhere. Lines not younger than the last of the
  // stream before were seen already.
  void Take(std::string_view bytes);
  // The stream has ended, perhaps within a line; another may follow, from last_time() on.
  void End();

  const std::string& last_time() const { return last_time_; }

 private:
  void TakeLine(std::string_view line);

  const std::function<void(std::string_view)> sink_;
  std::string rest_;
  std::string last_time_;
  std::string seen_until_;  // of the streams before
};

}  // namespace capstan
