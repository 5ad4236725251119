#include "launch/kubernetes_rights.h"

#include <algorithm>

namespace capstan {
namespace {

std::string GroupOf(const std::string& api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

}  // namespace

std::vector<NeededRight> RightsFor(const std::vector<KubernetesObject>& objects) {
  std::vector<NeededRight> rights = {
      {"batch", "jobs", {"get", "list", "watch", "create", "patch", "delete"}},
      {"", "pods", {"get", "list", "watch"}},
      {"", "pods/log", {"get"}},
      {"", "events", {"list"}},
  };
  for (const KubernetesObject& object : objects) {
    const std::string group = GroupOf(object.api_version);
    const auto same = [&](const NeededRight& right) {
      return right.group == group && right.resource == object.resource;
    };
    if (std::any_of(rights.begin(), rights.end(), same)) continue;
    NeededRight right{group, object.resource, {"get", "create", "patch"}};
    // What belongs to the anchor goes with it.
    if (!object.is_owned) right.verbs.insert(right.verbs.end(), {"list", "delete"});
    rights.push_back(std::move(right));
  }
  return rights;
}

std::string RulesText(const std::vector<NeededRight>& rights) {
  std::string text;
  for (const NeededRight& right : rights) {
    text += fmt::format("- {{apiGroups: [{}], resources: [{}], verbs: [{}]}}\n",
                        right.group.empty() ? "\"\"" : right.group, right.resource,
                        fmt::join(right.verbs, ", "));
  }
  return text;
}

Status CheckRights(KubernetesClient* client, const std::string& namespace_name,
                   const std::vector<NeededRight>& rights, std::string* rules) {
  // Whoever may do everything is asked once.
  ASSIGN_OR_RETURN(const bool all, client->MayI("*", "*", "*", namespace_name));
  if (all) return OkStatus();
  std::vector<NeededRight> missing;
  std::vector<std::string> words;
  for (const NeededRight& right : rights) {
    NeededRight lacking{right.group, right.resource, {}};
    for (const std::string& verb : right.verbs) {
      ASSIGN_OR_RETURN(const bool may,
                       client->MayI(verb, right.group, right.resource, namespace_name));
      if (!may) lacking.verbs.push_back(verb);
    }
    if (lacking.verbs.empty()) continue;
    words.push_back(fmt::format("{} {}", fmt::join(lacking.verbs, "/"), right.resource));
    missing.push_back(std::move(lacking));
  }
  if (missing.empty()) return OkStatus();
  *rules = RulesText(missing);
  return MakeStatus(
      absl::StatusCode::kPermissionDenied,
      fmt::format("we may not {} in namespace {}", fmt::join(words, ", "), namespace_name));
}

}  // namespace capstan
