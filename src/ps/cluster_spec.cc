#include "ps/cluster_spec.h"

#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>

#include "base/nearest.h"
#include "net/address.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

// An index in a sparse TF_CONFIG decides how long a list is.
constexpr int kMaxTasks = 65'536;

const std::string kNoAddress;

std::optional<TaskRole> RoleOf(std::string_view name) {
  if (name == "ps") return TaskRole::kPs;
  if (name == "worker") return TaskRole::kWorker;
  if (name == "chief" || name == "master") return TaskRole::kChief;
  if (name == "evaluator") return TaskRole::kEvaluator;
  return std::nullopt;
}

std::optional<int> NumberIn(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string_view Trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

std::string TaskName(TaskRole role, int index) {
  if (role == TaskRole::kChief || role == TaskRole::kEvaluator) return std::string(NameOf(role));
  return fmt::format("{} {}", NameOf(role), index);
}

// The tasks of one role, and the flag or key that names them.
struct TaskList {
  TaskRole role;
  std::string place;
  std::span<const std::string> addresses;
};

Status CheckAddresses(std::span<const TaskList> lists) {
  std::map<std::string, std::string> owners;
  for (const auto& list : lists) {
    for (size_t i = 0; i < list.addresses.size(); ++i) {
      const std::string& address = list.addresses[i];
      if (address.empty()) continue;
      const std::string name = TaskName(list.role, static_cast<int>(i));
      const auto parsed = ParseAddress(address);
      if (!parsed.ok()) return Annotate(parsed.status(), fmt::format("{}: {}", list.place, name));
      if (parsed->port == 0) {
        return Error("{}: {}: address '{}' has port 0, where nobody can be called", list.place,
                     name, address);
      }
      const auto [owner, is_new] = owners.emplace(address, name);
      if (!is_new) {
        return Error("{}: {} is the address of {} and of {}", list.place, address, owner->second,
                     name);
      }
    }
  }
  return OkStatus();
}

Status CheckIndex(const std::string& place, int index, const TaskList& list) {
  const int count = static_cast<int>(list.addresses.size());
  if (index >= 0 && index < count && !list.addresses[index].empty()) return OkStatus();
  if (index >= 0 && index < count) {
    return Error("{}={}: {} does not name {}", place, index, list.place,
                 TaskName(list.role, index));
  }
  return Error("{}={}: {} names {} {}, expected 0 to {}", place, index, list.place, count,
               count == 1 ? "task" : "tasks", count - 1);
}

StatusOr<std::vector<std::string>> SplitHosts(const char* flag, std::string_view text) {
  if (Trimmed(text).empty()) return Error("{} is empty, expected host:port,host:port,…", flag);
  std::vector<std::string> hosts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    const std::string_view host = Trimmed(text.substr(begin, comma - begin));
    if (host.empty()) return Error("{}='{}': entry {} is empty", flag, text, hosts.size());
    hosts.emplace_back(host);
    begin = comma + 1;
  }
  return hosts;
}

StatusOr<TaskRole> RoleOfFlag(std::string_view job_name) {
  const std::vector<std::string> known = {"ps", "worker", "evaluator"};
  const auto role = RoleOf(job_name);
  if (role == TaskRole::kChief) {
    return Error(
        "--job_name={}: with --worker_hosts the chief is worker 0, expected "
        "--job_name=worker --task_index=0",
        job_name);
  }
  if (!role.has_value()) {
    return Error("--job_name='{}' is unknown, expected ps, worker or evaluator{}", job_name,
                 NearestHint(job_name, known));
  }
  return *role;
}

// One role of TF_CONFIG's cluster: a list, or {"index": address}.
StatusOr<std::vector<std::string>> HostsIn(const std::string& key, const Json& value,
                                           bool* is_sparse) {
  std::vector<std::string> hosts;
  const auto take = [&](size_t index, const Json& address) -> Status {
    if (!address.is_string() || address.get_ref<const std::string&>().empty()) {
      return Error("TF_CONFIG: {}: task {} is {}, expected \"host:port\"", key, index,
                   address.dump());
    }
    if (index >= hosts.size()) hosts.resize(index + 1);
    hosts[index] = address.get<std::string>();
    return OkStatus();
  };
  if (value.is_array()) {
    for (size_t i = 0; i < value.size(); ++i) RETURN_IF_ERROR(take(i, value[i]));
    return hosts;
  }
  if (!value.is_object()) {
    return Error("TF_CONFIG: {} is {}, expected a list of \"host:port\"", key, value.dump());
  }
  *is_sparse = true;
  for (const auto& [name, address] : value.items()) {
    const auto index = NumberIn(name);
    if (!index.has_value() || *index < 0 || *index >= kMaxTasks) {
      return Error("TF_CONFIG: {}: '{}' is no index of a task", key, name);
    }
    RETURN_IF_ERROR(take(static_cast<size_t>(*index), address));
  }
  return hosts;
}

Status TakeOne(const std::string& key, const std::vector<std::string>& hosts, std::string* one) {
  if (hosts.size() > 1) return Error("TF_CONFIG: {} names {} tasks, expected 1", key, hosts.size());
  if (hosts.empty()) return OkStatus();
  if (!one->empty()) return Error("TF_CONFIG: cluster has both chief and master, expected one");
  *one = hosts[0];
  return OkStatus();
}

Status ParseCluster(const Json& cluster, ClusterSpec* spec) {
  if (!cluster.is_object()) {
    return Error("TF_CONFIG: cluster is {}, expected {{\"ps\": […], \"worker\": […]}}",
                 cluster.dump());
  }
  const std::vector<std::string> known = {"ps", "worker", "chief", "evaluator"};
  for (const auto& [name, value] : cluster.items()) {
    const std::string key = "cluster." + name;
    const auto role = RoleOf(name);
    if (!role.has_value()) {
      return Error("TF_CONFIG: {} is unknown, expected ps, worker, chief or evaluator{}", key,
                   NearestHint(name, known));
    }
    ASSIGN_OR_RETURN(std::vector<std::string> hosts, HostsIn(key, value, &spec->is_sparse));
    if (role == TaskRole::kPs) spec->ps = std::move(hosts);
    if (role == TaskRole::kWorker) spec->workers = std::move(hosts);
    if (role == TaskRole::kChief) RETURN_IF_ERROR(TakeOne(key, hosts, &spec->chief));
    if (role == TaskRole::kEvaluator) RETURN_IF_ERROR(TakeOne(key, hosts, &spec->evaluator));
  }
  return OkStatus();
}

Status ParseTask(const Json& task, ClusterSpec* spec) {
  const auto type = task.find("type");
  if (!task.is_object() || type == task.end() || !type->is_string()) {
    return Error("TF_CONFIG: task is {}, expected {{\"type\": \"worker\", \"index\": 0}}",
                 task.dump());
  }
  const std::string name = type->get<std::string>();
  const auto role = RoleOf(name);
  if (!role.has_value()) {
    const std::vector<std::string> known = {"ps", "worker", "chief", "evaluator"};
    return Error("TF_CONFIG: task.type '{}' is unknown, expected ps, worker, chief or evaluator{}",
                 name, NearestHint(name, known));
  }
  spec->role = *role;
  const auto index = task.find("index");
  if (index == task.end()) return OkStatus();
  std::optional<int> number;
  if (index->is_number_integer()) number = NumberIn(index->dump());
  if (index->is_string()) number = NumberIn(index->get_ref<const std::string&>());
  if (!number.has_value())
    return Error("TF_CONFIG: task.index is {}, expected a number", index->dump());
  spec->index = *number;
  return OkStatus();
}

// "job-worker-3.ns.svc:2222", 3 → "job-worker-0.ns.svc:2222"; "" if the name does not end so.
std::string NameOfWorker0(const std::string& own, int index) {
  const std::string suffix = fmt::format("-{}", index);
  const size_t end = own.find_first_of(".:");
  if (end == std::string::npos || end <= suffix.size() || !own.substr(0, end).ends_with(suffix)) {
    return "";
  }
  return own.substr(0, end - suffix.size()) + "-0" + own.substr(end);
}

Status CheckTfConfig(ClusterSpec* spec) {
  const TaskList lists[] = {
      {TaskRole::kPs, "TF_CONFIG: cluster.ps", spec->ps},
      {TaskRole::kWorker, "TF_CONFIG: cluster.worker", spec->workers},
      {TaskRole::kChief, "TF_CONFIG: cluster.chief", {&spec->chief, 1}},
      {TaskRole::kEvaluator, "TF_CONFIG: cluster.evaluator", {&spec->evaluator, 1}}};
  RETURN_IF_ERROR(CheckAddresses(lists));
  const bool needs_address = spec->role != TaskRole::kEvaluator || !spec->evaluator.empty();
  const TaskList& own = lists[static_cast<int>(spec->role)];
  if (needs_address && own.addresses.size() <= 1 &&
      (own.addresses.empty() || own.addresses[0].empty())) {
    return Error("{} is missing, which is where this task, {}, stands", own.place,
                 spec->task_name());
  }
  if (needs_address || spec->index != 0) {
    RETURN_IF_ERROR(CheckIndex("TF_CONFIG: task.index", spec->index, own));
  }
  if (spec->ps.empty()) return Error("TF_CONFIG: cluster.ps is missing, expected its addresses");
  if (spec->is_sparse && spec->role == TaskRole::kPs) return OkStatus();
  if (!spec->chief_address().empty()) return OkStatus();
  if (spec->is_sparse && spec->role == TaskRole::kWorker) {
    spec->workers[0] = NameOfWorker0(spec->own_address(), spec->index);
    if (!spec->workers[0].empty()) return OkStatus();
  }
  return Error("TF_CONFIG: cluster names neither a chief nor worker 0, one of which leads");
}

}  // namespace

std::string_view NameOf(TaskRole role) {
  switch (role) {
    case TaskRole::kPs:
      return "ps";
    case TaskRole::kWorker:
      return "worker";
    case TaskRole::kChief:
      return "chief";
    case TaskRole::kEvaluator:
      return "evaluator";
  }
  return "unknown";
}

const std::string& ClusterSpec::chief_address() const {
  if (!chief.empty()) return chief;
  return workers.empty() ? kNoAddress : workers[0];
}

std::string ClusterSpec::task_name() const { return TaskName(role, index); }

const std::string& ClusterSpec::own_address() const {
  if (role == TaskRole::kChief) return chief;
  if (role == TaskRole::kEvaluator) return evaluator;
  const auto& list = role == TaskRole::kPs ? ps : workers;
  return index < static_cast<int>(list.size()) ? list[index] : kNoAddress;
}

StatusOr<ClusterSpec> ParseClusterFlags(std::string_view ps_hosts, std::string_view worker_hosts,
                                        std::string_view job_name, int task_index) {
  ClusterSpec spec{.index = task_index};
  ASSIGN_OR_RETURN(spec.role, RoleOfFlag(job_name));
  ASSIGN_OR_RETURN(spec.ps, SplitHosts("--ps_hosts", ps_hosts));
  ASSIGN_OR_RETURN(spec.workers, SplitHosts("--worker_hosts", worker_hosts));
  const TaskList lists[] = {{TaskRole::kPs, "--ps_hosts", spec.ps},
                            {TaskRole::kWorker, "--worker_hosts", spec.workers}};
  RETURN_IF_ERROR(CheckAddresses(lists));
  if (spec.role == TaskRole::kEvaluator) {
    if (task_index != 0) return Error("--task_index={}: there is one evaluator, 0", task_index);
    return spec;
  }
  RETURN_IF_ERROR(
      CheckIndex("--task_index", task_index, lists[spec.role == TaskRole::kPs ? 0 : 1]));
  return spec;
}

StatusOr<ClusterSpec> ParseTfConfig(std::string_view json) {
  Json config;
  try {
    config = Json::parse(json);
  } catch (const Json::parse_error& error) {
    return Error("TF_CONFIG is no JSON at byte {}", error.byte);
  }
  if (!config.is_object()) return Error("TF_CONFIG is {}, expected an object", config.dump());
  for (const char* key : {"cluster", "task"}) {
    if (!config.contains(key)) return Error("TF_CONFIG: {} is missing", key);
  }
  ClusterSpec spec;
  RETURN_IF_ERROR(ParseTask(config["task"], &spec));
  RETURN_IF_ERROR(ParseCluster(config["cluster"], &spec));
  RETURN_IF_ERROR(CheckTfConfig(&spec));
  return spec;
}

}  // namespace capstan
