#include "launch/status_json.h"

#include <nlohmann/json.hpp>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

constexpr TaskState kStates[] = {
    TaskState::kQueued, TaskState::kStarting,  TaskState::kRunning,   TaskState::kRestarting,
    TaskState::kEnding, TaskState::kSuspended, TaskState::kSucceeded, TaskState::kFailed};

TaskState StateNamed(const std::string& name, bool* good) {
  for (const TaskState state : kStates) {
    if (NameOf(state) == name) return state;
  }
  *good = false;
  return TaskState::kFailed;
}

JobRole RoleNamed(const std::string& name, bool* good) {
  for (const JobRole role : kJobRoles) {
    if (NameOf(role) == name) return role;
  }
  *good = false;
  return JobRole::kWorker;
}

Json TaskToJson(const TaskStatus& task) {
  Json json;
  json["name"] = task.name;
  json["role"] = NameOf(task.role);
  json["index"] = task.index;
  json["state"] = NameOf(task.state);
  json["address"] = task.address;
  if (task.step >= 0) json["step"] = task.step;
  if (task.examples_per_second >= 0) json["examples_per_second"] = task.examples_per_second;
  json["restarts"] = task.restarts;
  json["age_s"] = task.age_s;
  if (task.exit_code >= 0) json["exit_code"] = task.exit_code;
  if (!task.reason.empty()) json["reason"] = task.reason;
  json["leads"] = task.leads;
  return json;
}

TaskStatus TaskFromJson(const Json& json, bool* good) {
  TaskStatus task;
  task.name = json.value("name", "");
  task.role = RoleNamed(json.value("role", ""), good);
  task.index = json.value("index", 0);
  task.state = StateNamed(json.value("state", ""), good);
  task.address = json.value("address", "");
  task.step = json.value("step", int64_t{-1});
  task.examples_per_second = json.value("examples_per_second", -1.0);
  task.restarts = json.value("restarts", 0);
  task.age_s = json.value("age_s", 0.0);
  task.exit_code = json.value("exit_code", -1);
  task.reason = json.value("reason", "");
  task.leads = json.value("leads", false);
  return task;
}

}  // namespace

std::string StatusToJson(const JobStatus& status) {
  Json json;
  json["name"] = status.name;
  json["state"] = NameOf(status.state);
  if (!status.reason.empty()) json["reason"] = status.reason;
  json["age_s"] = status.age_s;
  json["tasks"] = Json::array();
  for (const TaskStatus& task : status.tasks) json["tasks"].push_back(TaskToJson(task));
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

StatusOr<JobStatus> StatusFromJson(const std::string& text) {
  bool good = true;
  JobStatus status;
  try {
    const Json json = Json::parse(text);
    status.name = json.value("name", "");
    status.state = StateNamed(json.value("state", ""), &good);
    status.reason = json.value("reason", "");
    status.age_s = json.value("age_s", 0.0);
    for (const Json& task : json.value("tasks", Json::array())) {
      status.tasks.push_back(TaskFromJson(task, &good));
    }
  } catch (const Json::exception&) {
    good = false;
  }
  if (!good) return CorruptionError("status of a job: found {} bytes that are none", text.size());
  return status;
}

}  // namespace capstan
