// Whether the API server lets us do what a submit needs, asked before the first write.
#pragma once

#include <string>
#include <vector>

#include "launch/kubernetes_objects.h"
#include "net/kubernetes_client.h"

namespace capstan {

struct NeededRight {
  std::string group, resource;
  std::vector<std::string> verbs;
};

// Of a submit of these objects, and of looking after the job.
std::vector<NeededRight> RightsFor(const std::vector<KubernetesObject>& objects);

// kPermissionDenied names what is missing; `rules` gets the rules of a Role that gives it.
Status CheckRights(KubernetesClient* client, const std::string& namespace_name,
                   const std::vector<NeededRight>& rights, std::string* rules);

// "- {apiGroups: [batch], resources: [jobs], verbs: [get, list]}" per line.
std::string RulesText(const std::vector<NeededRight>& rights);

}  // namespace capstan
