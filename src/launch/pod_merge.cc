#include "launch/pod_merge.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

// The field that tells the elements of a list apart; "" where all are kept.
std::string KeyOfList(const std::string& name) {
  for (const char* named : {"containers", "initContainers", "volumes", "env", "imagePullSecrets",
                            "resourceClaims", "claims"}) {
    if (name == named) return "name";
  }
  if (name == "volumeMounts") return "mountPath";
  if (name == "ports") return "containerPort";
  return "";
}

// Alternatives: one more would weaken what the others ask for.
bool IsWhole(const std::string& name) { return name == "nodeSelectorTerms"; }

std::string Shown(const Json& value) {
  const std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= 80 ? text : text.substr(0, 77) + "...";
}

Status Conflict(const std::string& path, const Json& theirs, const Json& ours) {
  return Error("{} is {}, which the job sets to {}", path, Shown(theirs), Shown(ours));
}

Status Merge(const std::string& path, const std::string& name, const Json& theirs, Json* ours);

Status MergeLists(const std::string& path, const std::string& name, const Json& theirs,
                  Json* ours) {
  const std::string key = KeyOfList(name);
  for (const Json& element : theirs) {
    if (!element.is_object()) return Conflict(path, theirs, *ours);
    const bool has_key = !key.empty() && element.contains(key);
    const auto same = std::find_if(ours->begin(), ours->end(), [&](const Json& other) {
      return has_key ? other.is_object() && other.contains(key) && other[key] == element[key]
                     : other == element;
    });
    if (same == ours->end()) {
      ours->push_back(element);
      continue;
    }
    const std::string label = has_key && element[key].is_string()
                                  ? element[key].get<std::string>()
                                  : (has_key ? element[key].dump() : "");
    RETURN_IF_ERROR(Merge(fmt::format("{}[{}]", path, label), "", element, &*same));
  }
  return OkStatus();
}

Status Merge(const std::string& path, const std::string& name, const Json& theirs, Json* ours) {
  if (theirs.is_null() || theirs == *ours) return OkStatus();
  if (theirs.is_object() && ours->is_object()) {
    for (const auto& [key, value] : theirs.items()) {
      if (value.is_null()) continue;
      if (!ours->contains(key)) {
        (*ours)[key] = value;
      } else {
        RETURN_IF_ERROR(Merge(path + "." + key, key, value, &(*ours)[key]));
      }
    }
    return OkStatus();
  }
  if (theirs.is_array() && ours->is_array() && !IsWhole(name)) {
    return MergeLists(path, name, theirs, ours);
  }
  return Conflict(path, theirs, *ours);
}

}  // namespace

StatusOr<std::string> PutBeneath(const std::string& ours, const std::string& theirs) {
  if (theirs.empty()) return ours;
  Json merged = Json::parse(ours, nullptr, /*allow_exceptions=*/false);
  const Json beneath = Json::parse(theirs, nullptr, /*allow_exceptions=*/false);
  if (!beneath.is_object()) return Error("pod is no map, wanted a PodTemplateSpec");
  for (const auto& [key, value] : beneath.items()) {
    if (key != "metadata" && key != "spec") {
      return Error("pod.{} is unknown, wanted metadata or spec", key);
    }
  }
  RETURN_IF_ERROR(Merge("pod", "", beneath, &merged));
  return merged.dump();
}

}  // namespace capstan
