#include "launch/task_words.h"

#include <algorithm>
#include <cctype>

#include "base/nearest.h"

namespace capstan {
namespace {

std::string Quoted(const std::vector<std::string>& hosts) {
  std::string list;
  for (const std::string& host : hosts) {
    if (!list.empty()) list += ',';
    list += '"' + host + '"';
  }
  return '[' + list + ']';
}

bool IsPathEnd(std::string_view text, size_t at) {
  return at == text.size() || std::string_view("/,:;'\" ").find(text[at]) != std::string_view::npos;
}
bool IsPathBegin(std::string_view text, size_t at) {
  return at == 0 || std::string_view("=,:;'\" ").find(text[at - 1]) != std::string_view::npos;
}

}  // namespace

std::string TfConfigText(const ClusterHosts& hosts, const TaskPlace& place, bool sparse) {
  std::string cluster;
  const auto add = [&](const char* role, const std::string& value) {
    if (!cluster.empty()) cluster += ',';
    cluster += fmt::format("\"{}\":{}", role, value);
  };
  const std::string own = fmt::format("{{\"{}\":\"{}\"}}", place.index, place.address);
  if (!hosts.chief.empty()) add("chief", Quoted({hosts.chief}));
  if (!sparse) {
    if (!hosts.workers.empty()) add("worker", Quoted(hosts.workers));
    if (!hosts.ps.empty()) add("ps", Quoted(hosts.ps));
  } else {
    if (place.role == "worker") add("worker", own);
    // Whoever has a full list of servers wants to know who leads.
    if (place.role == "evaluator" && hosts.chief.empty() && !hosts.workers.empty()) {
      add("worker", fmt::format("{{\"0\":\"{}\"}}", hosts.workers[0]));
    }
    if (place.role == "ps") {
      add("ps", own);
    } else if (!hosts.ps.empty()) {
      add("ps", Quoted(hosts.ps));
    }
  }
  const char* environment = sparse ? "" : ",\"environment\":\"cloud\"";
  return fmt::format("{{\"cluster\":{{{}}},\"task\":{{\"type\":\"{}\",\"index\":{}}}{}}}", cluster,
                     place.role, place.index, environment);
}

StatusOr<std::string> ReplacePlaceholders(const std::string& text, const ClusterHosts& hosts,
                                          const TaskPlace& place) {
  static const std::vector<std::string> kNames = {"ps_hosts", "worker_hosts", "chief_host",
                                                  "job_name", "task_index",   "port"};
  const auto value_of = [&](const std::string& name) -> std::string {
    if (name == "ps_hosts") return fmt::format("{}", fmt::join(hosts.ps, ","));
    if (name == "worker_hosts") return fmt::format("{}", fmt::join(hosts.workers, ","));
    if (name == "job_name") return place.role;
    if (name == "task_index") return place.index;
    if (name == "port") return fmt::format("{}", place.port);
    return hosts.chief.empty() && !hosts.workers.empty() ? hosts.workers[0] : hosts.chief;
  };
  std::string result;
  size_t at = 0;
  while (at < text.size()) {
    const size_t open = text.find('{', at);
    if (open == std::string::npos) break;
    size_t close = open + 1;
    while (close < text.size() &&
           (std::islower(static_cast<unsigned char>(text[close])) != 0 || text[close] == '_')) {
      ++close;
    }
    result.append(text, at, open - at);
    const std::string name = text.substr(open + 1, close - open - 1);
    const bool is_name = close < text.size() && text[close] == '}' && !name.empty();
    if (is_name && std::find(kNames.begin(), kNames.end(), name) != kNames.end()) {
      result += value_of(name);
      at = close + 1;
      continue;
    }
    if (const std::string nearest = NearestWord(name, kNames); is_name && !nearest.empty()) {
      return Error("word '{}': unknown {{{}}}, nearest is {{{}}}", text, name, nearest);
    }
    result += '{';
    at = open + 1;
  }
  if (at < text.size()) result.append(text, at, std::string::npos);
  return result;
}

std::string EscapeReferences(std::string_view text) {
  std::string escaped;
  for (size_t i = 0; i < text.size(); ++i) {
    escaped += text[i];
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (text[i] == '$' && (next == '(' || next == '$')) escaped += '$';
  }
  return escaped;
}

std::string ExpandReferences(std::string_view text, const std::vector<EnvVar>& env) {
  std::string expanded;
  for (size_t i = 0; i < text.size(); ++i) {
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    const size_t close = text[i] == '$' && next == '(' ? text.find(')', i) : std::string_view::npos;
    if (text[i] == '$' && next == '$') {
      expanded += '$';
      ++i;
    } else if (close != std::string_view::npos) {
      const std::string_view name = text.substr(i + 2, close - i - 2);
      // The last of a name wins, as in Kubernetes.
      const auto found = std::find_if(env.rbegin(), env.rend(),
                                      [&](const EnvVar& var) { return var.name == name; });
      expanded += found == env.rend() ? std::string(text.substr(i, close + 1 - i)) : found->value;
      i = close;
    } else {
      expanded += text[i];
    }
  }
  return expanded;
}

std::string MapPaths(std::string_view text, const PathMap& paths) {
  std::string mapped;
  for (size_t i = 0; i < text.size();) {
    // The longest mount point counts: /data/train before /data.
    const std::pair<std::string, std::string>* best = nullptr;
    for (const auto& path : paths) {
      const bool fits = text.substr(i).starts_with(path.first) && IsPathBegin(text, i) &&
                        IsPathEnd(text, i + path.first.size());
      if (fits && (best == nullptr || path.first.size() > best->first.size())) best = &path;
    }
    if (best == nullptr) {
      mapped += text[i++];
    } else {
      mapped += best->second;
      i += best->first.size();
    }
  }
  return mapped;
}

}  // namespace capstan
