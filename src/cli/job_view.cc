#include "cli/job_view.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace capstan {
namespace {

constexpr size_t kMaxTableTasks = 20;
constexpr const char* kColours[] = {"\033[36m", "\033[33m", "\033[32m",
                                    "\033[35m", "\033[34m", "\033[31m"};

std::string AgeText(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
  return fmt::format("{}d{:02}h", s / 86400, s / 3600 % 24);
}

// "clicks-worker-0" → "worker-0"
std::string ShortName(const JobStatus& job, const TaskStatus& task) {
  const std::string prefix = job.name + "-";
  return task.name.starts_with(prefix) ? task.name.substr(prefix.size()) : task.name;
}

size_t TerminalColumns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

// A log line must not move the cursor.
std::string Harmless(std::string_view line) {
  std::string text;
  for (const char c : line) text.push_back(c == '\033' || c == '\r' || c == '\b' ? ' ' : c);
  return text;
}

}  // namespace

std::vector<std::string> StatusTable(const JobStatus& status) {
  const auto row = [](const auto&... cells) {
    std::string line = fmt::format("{:<14} {:<10} {:<28} {:>9} {:>11} {:>8} {:>7}  {}", cells...);
    line.erase(line.find_last_not_of(' ') + 1);
    return line;
  };
  std::vector<std::string> lines = {
      row("TASK", "STATE", "ADDRESS", "STEP", "EXAMPLES/S", "RESTARTS", "AGE", "WHY")};
  for (const TaskStatus& task : status.tasks) {
    lines.push_back(
        row(ShortName(status, task), NameOf(task.state), task.address,
            task.step < 0 ? "-" : fmt::format("{}", task.step),
            task.examples_per_second < 0 ? "-" : fmt::format("{:.0f}", task.examples_per_second),
            task.restarts, task.age_s > 0 ? AgeText(task.age_s) : "-", task.reason));
  }
  return lines;
}

JobView::~JobView() {
  MutexLock lock(&mutex_);
  ClearTable();
}

JobView::Shown* JobView::Find(const std::string& task) {
  for (Shown& shown : tasks_) {
    if (shown.name == task) return &shown;
  }
  return nullptr;
}

void JobView::LearnTasks(const JobStatus& status) {
  size_t width = 0;
  for (const TaskStatus& task : status.tasks) {
    width = std::max(width, ShortName(status, task).size());
  }
  for (const TaskStatus& task : status.tasks) {
    if (Find(task.name) != nullptr) continue;
    const std::string text = fmt::format("{:<{}} | ", ShortName(status, task), width);
    const char* colour = kColours[tasks_.size() % std::size(kColours)];
    tasks_.push_back({.name = task.name,
                      .prefix = options_.terminal ? colour + text + "\033[0m" : text,
                      .leads = task.leads});
  }
}

void JobView::Learn(const JobStatus& status) {
  MutexLock lock(&mutex_);
  LearnTasks(status);
}

void JobView::ShowLine(const std::string& task, std::string_view line) {
  MutexLock lock(&mutex_);
  const Shown* shown = Find(task);
  if (options_.quiet && (shown == nullptr || !shown->leads)) return;
  ClearTable();
  const std::string prefix = shown == nullptr ? task + " | " : shown->prefix;
  const std::string text = options_.terminal ? Harmless(line) : std::string(line);
  std::fputs((prefix + text + "\n").c_str(), stdout);
  DrawTable();
}

void JobView::Put(const std::string& sentence) {
  ClearTable();
  std::fflush(stdout);
  std::fprintf(stderr, "capstan %s: %s\n", options_.command.c_str(), sentence.c_str());
}

void JobView::Say(const std::string& sentence) {
  MutexLock lock(&mutex_);
  Put(sentence);
  DrawTable();
}

void JobView::ShowStatus(const JobStatus& status) {
  MutexLock lock(&mutex_);
  LearnTasks(status);
  for (const TaskStatus& task : status.tasks) {
    Shown* shown = Find(task.name);
    const bool again = task.restarts > shown->restarts;
    // When the job ends, only who ended it: the others were asked to.
    const bool goes_on = !IsFinal(status.state) && status.state != TaskState::kEnding;
    const bool is_news = task.state == TaskState::kRestarting ||
                         (task.state == TaskState::kFailed &&
                          (goes_on || status.reason.starts_with(task.name + " ")));
    if (again || (is_news && task.state != shown->state)) {
      Put(fmt::format("{} {}{}{}", ShortName(status, task), NameOf(task.state),
                      task.reason.empty() ? "" : ": " + task.reason,
                      again ? fmt::format(" (restart {})", task.restarts) : std::string()));
    }
    shown->state = task.state;
    shown->restarts = task.restarts;
  }
  if (status.state != state_ && !IsFinal(status.state)) {
    Put(fmt::format("job {} {}{}", status.name, NameOf(status.state),
                    status.reason.empty() ? "" : ": " + status.reason));
  }
  state_ = status.state;
  if (options_.terminal && options_.table) {
    table_ = StatusTable(status);
    if (table_.size() > kMaxTableTasks + 1) {
      const size_t more = table_.size() - kMaxTableTasks - 1;
      table_.resize(kMaxTableTasks + 1);
      table_.push_back(fmt::format("… and {} more", more));
    }
  }
  ClearTable();
  DrawTable();
}

void JobView::ClearTable() {
  if (drawn_lines_ > 0) std::fprintf(stdout, "\033[%zuA\033[J", drawn_lines_);
  drawn_lines_ = 0;
}

void JobView::DrawTable() {
  const size_t columns = TerminalColumns();
  for (const std::string& line : table_) {
    std::fputs((line.substr(0, columns - 1) + "\n").c_str(), stdout);
  }
  drawn_lines_ = table_.size();
  std::fflush(stdout);
}

}  // namespace capstan
