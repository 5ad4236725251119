#include "launch/log_lines.h"

#include <algorithm>

namespace capstan {

void LogLines::Take(std::string_view bytes) {
  for (size_t from = 0; from < bytes.size();) {
    const size_t end = bytes.find('\n', from);
    rest_ += bytes.substr(from, end - from);
    if (end == std::string_view::npos) return;
    TakeLine(rest_);
    rest_.clear();
    from = end + 1;
  }
}

void LogLines::End() {
  // A line that was cut comes again with the next stream, or will never be whole.
  rest_.clear();
  seen_until_ = last_time_;
}

void LogLines::TakeLine(std::string_view line) {
  const size_t blank = std::min(line.find(' '), line.size());
  const std::string_view time = line.substr(0, blank);
  if (!seen_until_.empty() && time <= seen_until_) return;
  last_time_ = time;
  sink_(line.substr(std::min(blank + 1, line.size())));
}

}  // namespace capstan
