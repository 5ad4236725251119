#include "task/task_flags.h"

#include <charconv>
#include <cmath>
#include <functional>
#include <map>

#include "base/nearest.h"

namespace capstan {
namespace {

constexpr int kMaxTasksOfARole = 100'000;

bool ParseNumber(std::string_view text, int* value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() && *value >= 0;
}

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find(separator, start), text.size());
    if (end > start) parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// "1-127" or "42"
bool ParseRange(const std::string& text, int* first, int* last) {
  const size_t dash = text.find('-');
  if (!ParseNumber(text.substr(0, dash), first)) return false;
  *last = *first;
  if (dash != std::string::npos && !ParseNumber(text.substr(dash + 1), last)) return false;
  return *first <= *last && *last <= 255;
}

struct RoleCount {
  TaskKind kind = TaskKind::kWorker;
  int count = 0;
};

class TaskFlagParser {
 public:
  StatusOr<TaskFlags> Parse(const std::vector<std::string>& words) {
    size_t at = 0;
    for (; at < words.size() && words[at] != "--"; ++at) RETURN_IF_ERROR(TakeWord(words[at]));
    for (++at; at < words.size(); ++at) flags_.command.push_back(words[at]);
    if (flags_.command.empty()) return Error("no command behind --");
    if (flags_.job.empty()) return Error("flag --job is missing");
    if (tasks_.empty()) return Error("flag --tasks is missing: wanted as chief:1,worker:2,ps:2");
    RETURN_IF_ERROR(FindSelf());
    RETURN_IF_ERROR(FindLeads());
    // Several calls must fit into the silence that is not yet a peer's end.
    TaskLifeOptions& life = flags_.life;
    life.call_interval = std::min(life.call_interval, life.peer_timeout / 4);
    life.retry_interval = std::min(life.retry_interval, life.call_interval);
    return flags_;
  }

 private:
  using Setter = std::function<Status(const std::string&)>;

  Status TakeWord(const std::string& word) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const bool has_value = equals != std::string::npos;
    const std::string value = has_value ? word.substr(equals + 1) : "true";
    std::vector<std::string> known;
    for (const auto& [flag, setter] : setters_) known.push_back(flag);
    const auto found = setters_.find(name);
    if (found == setters_.end()) {
      return Error("unknown flag '{}'{}", word, NearestHint(name, known));
    }
    if (!has_value && name != "--insecure") return Error("flag {}: wanted {}=VALUE", name, name);
    const Status set = found->second(value);
    return set.ok() ? set : Error("flag {}={}: {}", name, value, Message(set));
  }

  static Setter Text(std::string* value) {
    return [value](const std::string& text) {
      *value = text;
      return OkStatus();
    };
  }
  static Setter Seconds(std::chrono::milliseconds* value) {
    return [value](const std::string& text) {
      double seconds = 0;
      const auto result = std::from_chars(text.data(), text.data() + text.size(), seconds);
      if (result.ec != std::errc() || result.ptr != text.data() + text.size() ||
          !(seconds >= 0 && seconds < 1e8)) {
        return Error("wanted seconds");
      }
      *value = std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
      return OkStatus();
    };
  }

  Status SetTasks(const std::string& text) {
    for (const std::string& part : Split(text, ',')) {
      const size_t colon = std::min(part.find(':'), part.size() - 1);
      RoleCount role;
      ASSIGN_OR_RETURN(role.kind, ParseTaskKind(part.substr(0, colon)));
      if (!ParseNumber(part.substr(colon + 1), &role.count) || role.count > kMaxTasksOfARole) {
        return Error("wanted as chief:1,worker:2,ps:2");
      }
      tasks_.push_back(role);
    }
    return OkStatus();
  }
  Status SetLeaders(const std::string& text) {
    leaders_ = Split(text, ',');
    return OkStatus();
  }
  Status SetRole(const std::string& text) {
    role_ = text;
    return ParseTaskKind(text).status();
  }
  Status SetIndex(const std::string& text) {
    return ParseNumber(text, &index_) ? OkStatus() : Error("wanted a number from 0");
  }
  Status SetPort(const std::string& text) {
    const bool good = ParseNumber(text, &flags_.port) && flags_.port > 0 && flags_.port < 65536;
    return good ? OkStatus() : Error("wanted a port");
  }
  Status SetInsecure(const std::string& text) {
    flags_.insecure = text == "true";
    return text == "true" || text == "false" ? OkStatus() : Error("wanted true or false");
  }
  Status SetFinalCodes(const std::string& text) {
    flags_.life.final_codes.clear();
    for (const std::string& part : Split(text, ',')) {
      std::pair<int, int> range;
      if (!ParseRange(part, &range.first, &range.second)) return Error("wanted as 1-127,130");
      flags_.life.final_codes.push_back(range);
    }
    return OkStatus();
  }
  Status SetCodes(const std::string& text) {
    for (const std::string& part : Split(text, ',')) {
      const size_t colon = std::min(part.find(':'), part.size() - 1);
      TaskFlags::CodeChange change;
      if (!ParseRange(part.substr(0, colon), &change.first, &change.last) ||
          !ParseNumber(part.substr(colon + 1), &change.instead) || change.instead > 255) {
        return Error("wanted as 42:0,50-60:1");
      }
      flags_.codes.push_back(change);
    }
    return OkStatus();
  }

  // By --role and --index, or by an index over all tasks.
  Status FindSelf() {
    if (index_ < 0) return Error("flag --index is missing");
    flags_.fills_place = role_.empty();
    TaskId self{.index = index_};
    if (!role_.empty()) {
      ASSIGN_OR_RETURN(self.kind, ParseTaskKind(role_));
    }
    bool found = false;
    int before = 0;
    for (const RoleCount& role : tasks_) {
      if (role_.empty() && !found && index_ < before + role.count) {
        self = {.kind = role.kind, .index = index_ - before};
        found = true;
      }
      if (!role_.empty() && role.kind == self.kind) found = index_ < role.count;
      before += role.count;
    }
    if (!found) return Error("task {} {} is none of those of --tasks", role_, index_);
    flags_.life.self = self;
    return OkStatus();
  }

  Status FindLeads() {
    TaskLifeOptions& life = flags_.life;
    int chiefs = 0, workers = 0;
    for (const RoleCount& role : tasks_) {
      if (role.kind == TaskKind::kChief) chiefs = role.count;
      if (role.kind == TaskKind::kWorker) workers = role.count;
    }
    const TaskKind leading = chiefs > 0 ? TaskKind::kChief : TaskKind::kWorker;
    const int most = chiefs > 0 ? chiefs : workers;
    if (leaders_.empty() || static_cast<int>(leaders_.size()) > most) {
      return Error("flag --leaders has {} hosts, but there are {} tasks of role {}",
                   leaders_.size(), most, NameOf(leading));
    }
    for (const std::string& leader : leaders_) {
      const bool has_port = leader.ends_with("]") ? false : leader.find(':') != std::string::npos;
      ASSIGN_OR_RETURN(
          const HostPort host,
          ParseHostPort(has_port ? leader : fmt::format("{}:{}", leader, flags_.port)));
      flags_.lead_hosts.push_back(host);
      life.leads.push_back({.kind = leading, .index = static_cast<int>(life.leads.size())});
    }
    life.all_workers = chiefs == 0 && workers > 1 && static_cast<int>(leaders_.size()) == workers;
    for (const RoleCount& role : tasks_) {
      const int first = role.kind == leading ? static_cast<int>(leaders_.size()) : 0;
      for (int i = first; i < role.count; ++i) {
        life.followers.push_back({.kind = role.kind, .index = i});
      }
    }
    return OkStatus();
  }

  TaskFlags flags_;
  std::string role_;
  int index_ = -1;
  std::vector<RoleCount> tasks_;
  std::vector<std::string> leaders_;
  const std::map<std::string, Setter> setters_ = {
      {"--job", Text(&flags_.job)},
      {"--role", [this](const std::string& text) { return SetRole(text); }},
      {"--index", [this](const std::string& text) { return SetIndex(text); }},
      {"--tasks", [this](const std::string& text) { return SetTasks(text); }},
      {"--leaders", [this](const std::string& text) { return SetLeaders(text); }},
      {"--port", [this](const std::string& text) { return SetPort(text); }},
      {"--token_file", Text(&flags_.token_file)},
      {"--insecure", [this](const std::string& text) { return SetInsecure(text); }},
      {"--codes", [this](const std::string& text) { return SetCodes(text); }},
      {"--final_codes", [this](const std::string& text) { return SetFinalCodes(text); }},
      {"--start_timeout", Seconds(&flags_.life.start_timeout)},
      {"--peer_timeout", Seconds(&flags_.life.peer_timeout)},
      {"--finish_grace", Seconds(&flags_.life.finish_grace)},
      {"--stop_timeout", Seconds(&flags_.life.stop_timeout)}};
};

}  // namespace

int TaskFlags::ExitCodeFor(int exit_code) const {
  for (const CodeChange& change : codes) {
    if (exit_code >= change.first && exit_code <= change.last) return change.instead;
  }
  return exit_code;
}

StatusOr<TaskFlags> ParseTaskFlags(const std::vector<std::string>& words) {
  return TaskFlagParser().Parse(words);
}

std::string FillPlace(std::string text, const TaskId& self) {
  const std::pair<std::string, std::string> places[] = {
      {"{job_name}", std::string(NameOf(self.kind))},
      {"{task_index}", fmt::format("{}", self.index)}};
  for (const auto& [from, to] : places) {
    for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at)) {
      text.replace(at, from.size(), to);
      at += to.size();
    }
  }
  return text;
}

}  // namespace capstan
