#include "launch/job_outline.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

// FNV-1a, 64 bits: tells job files apart, nothing more.
std::string HashOf(const std::vector<KubernetesObject>& objects) {
  uint64_t hash = 14695981039346656037ull;
  for (const KubernetesObject& object : objects) {
    for (const char c : object.json)
      hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  }
  return fmt::format("{:016x}", hash);
}

StatusOr<JobRole> RoleNamed(std::string_view name) {
  for (const JobRole role : kJobRoles) {
    if (NameOf(role) == name) return role;
  }
  return Error("a role is \"{}\"", name);
}

template <typename T>
T At(const Json& object, const char* key, T otherwise) {
  const auto found = object.find(key);
  if (found == object.end()) return otherwise;
  if constexpr (std::is_same_v<T, std::string>) {
    return found->is_string() ? found->get<T>() : otherwise;
  } else if constexpr (std::is_same_v<T, bool>) {
    return found->is_boolean() ? found->get<T>() : otherwise;
  } else {
    return found->is_number_integer() ? found->get<T>() : otherwise;
  }
}

}  // namespace

const JobOutline::Role* JobOutline::Find(JobRole role) const {
  for (const Role& entry : roles) {
    if (entry.role == role) return &entry;
  }
  return nullptr;
}

int JobOutline::task_count() const {
  int count = 0;
  for (const Role& role : roles) count += role.replicas;
  return count;
}

JobOutline OutlineOf(const Plan& plan, const std::vector<KubernetesObject>& hashed) {
  JobOutline outline{.hash = HashOf(hashed),
                     .one_job = plan.one_job,
                     .dynamic_workers = plan.spec.dynamic_workers,
                     .cluster_domain = plan.spec.cluster_domain,
                     .start_timeout_s = plan.spec.start_timeout_s};
  for (const RolePlan& role : plan.roles) {
    const auto leads = [](const TaskPlan& task) { return task.leads; };
    outline.roles.push_back(
        {.role = role.spec.role,
         .replicas = role.spec.replicas,
         .leading = static_cast<int>(std::count_if(role.tasks.begin(), role.tasks.end(), leads)),
         .port = role.spec.port,
         .job_name = role.job_name});
  }
  return outline;
}

std::string OutlineText(const JobOutline& outline) {
  Json roles = Json::array();
  for (const JobOutline::Role& role : outline.roles) {
    roles.push_back({{"role", NameOf(role.role)},
                     {"replicas", role.replicas},
                     {"leading", role.leading},
                     {"port", role.port},
                     {"job", role.job_name}});
  }
  const Json json = {{"hash", outline.hash},
                     {"roles", roles},
                     {"oneJob", outline.one_job},
                     {"dynamicWorkers", outline.dynamic_workers},
                     {"clusterDomain", outline.cluster_domain},
                     {"startTimeoutSeconds", outline.start_timeout_s}};
  return json.dump();
}

StatusOr<JobOutline> ParseOutline(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Error("annotation {}: no JSON object", kOutlineAnnotation);
  JobOutline outline{.hash = At(json, "hash", std::string()),
                     .one_job = At(json, "oneJob", false),
                     .dynamic_workers = At(json, "dynamicWorkers", false),
                     .cluster_domain = At(json, "clusterDomain", std::string()),
                     .start_timeout_s = At(json, "startTimeoutSeconds", int64_t{0})};
  for (const Json& entry : json.value("roles", Json::array())) {
    if (!entry.is_object()) return Error("annotation {}: a role is no object", kOutlineAnnotation);
    ASSIGN_OR_RETURN(const JobRole role, RoleNamed(At(entry, "role", std::string())));
    const int replicas = At(entry, "replicas", 0);
    if (replicas < 1 || replicas > 100'000) {
      return Error("annotation {}: {} replicas", kOutlineAnnotation, replicas);
    }
    outline.roles.push_back({.role = role,
                             .replicas = replicas,
                             .leading = At(entry, "leading", 0),
                             .port = At(entry, "port", 0),
                             .job_name = At(entry, "job", std::string())});
  }
  return outline;
}

std::vector<KubernetesObject> WithOutline(const JobOutline& outline, bool suspended,
                                          std::vector<KubernetesObject> objects) {
  for (KubernetesObject& object : objects) {
    if (!object.is_anchor) continue;
    Json json = Json::parse(object.json, nullptr, false);
    json["metadata"]["annotations"][kOutlineAnnotation] = OutlineText(outline);
    if (suspended) json["metadata"]["annotations"][kSuspendedAnnotation] = "true";
    object.json = json.dump();
  }
  return objects;
}

StatusOr<JobOutline> OutlineIn(const std::string& anchor) {
  const Json json = Json::parse(anchor, nullptr, false);
  const Json::json_pointer place("/metadata/annotations");
  if (!json.is_object() || !json.contains(place)) {
    return NotFoundError("this Job has no annotation {}", kOutlineAnnotation);
  }
  const std::string text = At(json[place], kOutlineAnnotation, std::string());
  if (text.empty()) return NotFoundError("this Job has no annotation {}", kOutlineAnnotation);
  return ParseOutline(text);
}

}  // namespace capstan
