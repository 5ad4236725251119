#include "task/task_report.h"

#include <charconv>

namespace capstan {
namespace {

struct KindWord {
  TaskKind kind;
  std::string_view word;
};
constexpr KindWord kKinds[] = {{TaskKind::kChief, "chief"},
                               {TaskKind::kWorker, "worker"},
                               {TaskKind::kPs, "ps"},
                               {TaskKind::kEvaluator, "evaluator"}};
struct StateWord {
  TaskReport::State state;
  std::string_view word;
};
constexpr StateWord kStates[] = {{TaskReport::State::kRunning, "running"},
                                 {TaskReport::State::kSucceeded, "succeeded"},
                                 {TaskReport::State::kReleased, "released"},
                                 {TaskReport::State::kFailed, "failed"}};

bool ParseNumber(std::string_view text, int* value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && *value >= 0;
}

// The part of `text` before the next `separator`; `text` goes behind it.
std::string_view TakeUntil(char separator, std::string_view* text) {
  const size_t end = std::min(text->find(separator), text->size());
  const std::string_view part = text->substr(0, end);
  text->remove_prefix(std::min(end + 1, text->size()));
  return part;
}

Status TakeField(std::string_view name, std::string_view value, TaskReport* report) {
  if (name == "from" || name == "to") {
    ASSIGN_OR_RETURN((name == "to" ? report->to : report->from), ParseTaskId(value));
    return OkStatus();
  }
  if (name == "state") {
    for (const StateWord& state : kStates) {
      if (state.word != value) continue;
      report->state = state.state;
      return OkStatus();
    }
    return CorruptionError("unknown state");
  }
  int number = 0;
  if (name == "ended" || name == "code") {
    if (!ParseNumber(value, &number) || number > 255) return CorruptionError("a number");
    if (name == "ended") report->ended = number != 0;
    if (name == "code") report->exit_code = number;
    return OkStatus();
  }
  while (name == "done" && !value.empty()) {
    ASSIGN_OR_RETURN(const TaskId task, ParseTaskId(TakeUntil(',', &value)));
    report->done.push_back(task);
  }
  return OkStatus();  // fields of later versions are passed over
}

}  // namespace

std::string_view NameOf(TaskKind kind) {
  for (const KindWord& known : kKinds) {
    if (known.kind == kind) return known.word;
  }
  return "unknown";
}

std::string TaskId::Text() const { return fmt::format("{}-{}", NameOf(kind), index); }

StatusOr<TaskKind> ParseTaskKind(std::string_view text) {
  for (const KindWord& known : kKinds) {
    if (known.word == text) return known.kind;
  }
  return Error("role '{}', wanted chief, worker, ps or evaluator", text);
}

StatusOr<TaskId> ParseTaskId(std::string_view text) {
  TaskId task;
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos || !ParseNumber(text.substr(dash + 1), &task.index)) {
    return CorruptionError("'{}' is no task", text.substr(0, 64));
  }
  ASSIGN_OR_RETURN(task.kind, ParseTaskKind(text.substr(0, dash)));
  return task;
}

std::string EncodeReport(const std::string& job, const TaskReport& report) {
  std::string done;
  for (const TaskId& task : report.done) done += (done.empty() ? "" : ",") + task.Text();
  std::string_view state;
  for (const StateWord& known : kStates) {
    if (known.state == report.state) state = known.word;
  }
  return fmt::format("job={} from={} to={} state={} ended={} code={} done={}", job,
                     report.from.Text(), report.to.Text(), state, report.ended ? 1 : 0,
                     report.exit_code, done);
}

StatusOr<TaskReport> DecodeReport(std::string_view line, const std::string& job) {
  TaskReport report;
  bool has_job = false, has_from = false, has_state = false;
  while (!line.empty()) {
    std::string_view field = TakeUntil(' ', &line);
    const std::string_view name = TakeUntil('=', &field);
    if (name == "job" && field != job) {
      return MakeStatus(absl::StatusCode::kPermissionDenied, "a task of another job");
    }
    has_job |= name == "job";
    has_from |= name == "from";
    has_state |= name == "state";
    const Status taken = TakeField(name, field, &report);
    if (!taken.ok()) return CorruptionError("report of a task: {}", Message(taken));
  }
  if (!has_job || !has_from || !has_state) return CorruptionError("report of a task: incomplete");
  return report;
}

}  // namespace capstan
