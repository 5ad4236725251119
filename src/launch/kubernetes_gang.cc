#include "launch/kubernetes_gang.h"

#include <algorithm>
#include <map>

#include "launch/quantity.h"
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

struct Route {
  GangRoute route;
  const char* kind;
  std::vector<std::string> api_versions;
};

std::vector<Route> RoutesOf(const KubernetesVersion& version) {
  return {{GangRoute::kKueue, "LocalQueue", {"kueue.x-k8s.io/v1beta2", "kueue.x-k8s.io/v1beta1"}},
          {GangRoute::kPodGroup,
           "PodGroup",
           {version.AtLeast(37) ? "scheduling.k8s.io/v1beta1" : "scheduling.k8s.io/v1alpha2"}},
          {GangRoute::kVolcano, "PodGroup", {"scheduling.volcano.sh/v1beta1"}},
          {GangRoute::kCoscheduling, "PodGroup", {"scheduling.x-k8s.io/v1alpha1"}}};
}

StatusOr<bool> Serves(KubernetesClient* client, const Route& route) {
  for (const std::string& api_version : route.api_versions) {
    ASSIGN_OR_RETURN(const bool has, client->Has(api_version, route.kind));
    if (has) return true;
  }
  return false;
}

double QuantityAt(const Json& object, const std::string& resource) {
  const Json& value = At(object, resource.c_str());
  if (!value.is_string()) return 0;
  return ParseQuantity(value.get<std::string>()).value_or(0);
}

double LimitsOf(const Json& pod, const std::string& resource) {
  double sum = 0;
  for (const Json& container : At(At(pod, "spec"), "containers")) {
    sum += QuantityAt(At(At(container, "resources"), "limits"), resource);
  }
  return sum;
}

StatusOr<double> FreeOf(KubernetesClient* client, const std::string& resource) {
  ASSIGN_OR_RETURN(const auto nodes, client->List("v1", "Node", ""));
  ASSIGN_OR_RETURN(const auto pods, client->List("v1", "Pod", "", "*"));
  double free = 0;
  for (const std::string& text : nodes.objects) {
    const Json node = Json::parse(text, nullptr, false);
    if (At(At(node, "spec"), "unschedulable") == true) continue;
    free += QuantityAt(At(At(node, "status"), "allocatable"), resource);
  }
  for (const std::string& text : pods.objects) {
    const Json pod = Json::parse(text, nullptr, false);
    const Json& phase = At(At(pod, "status"), "phase");
    const bool placed = At(At(pod, "spec"), "nodeName").is_string();
    if (placed && phase != "Succeeded" && phase != "Failed") free -= LimitsOf(pod, resource);
  }
  return std::max(free, 0.0);
}

}  // namespace

StatusOr<GangRoute> ChooseGang(KubernetesClient* client, const JobSpec& job) {
  if (job.gang == GangRoute::kNone) return GangRoute::kNone;
  for (const Route& route : RoutesOf(client->version())) {
    const bool named = job.gang == route.route;
    if (!named && job.gang != GangRoute::kAuto) continue;
    if (!named && route.route == GangRoute::kKueue && job.queue.empty()) continue;
    ASSIGN_OR_RETURN(const bool serves, Serves(client, route));
    if (serves) return route.route;
    if (named) {
      return MakeStatus(
          absl::StatusCode::kFailedPrecondition,
          fmt::format("gang {}: this cluster ({}) has no {} of {}", NameOf(route.route),
                      client->version().text, route.kind, fmt::join(route.api_versions, " or ")));
    }
  }
  return GangRoute::kNone;
}

std::string DeviceShortage(KubernetesClient* client, const Plan& plan) {
  std::map<std::string, int> wanted;
  for (const RolePlan& role : plan.roles) {
    const ResourceSpec& resources = role.spec.program.resources;
    if (resources.gpus > 0) wanted[resources.gpu_resource] += resources.gpus * role.spec.replicas;
  }
  for (const auto& [resource, count] : wanted) {
    const StatusOr<double> free = FreeOf(client, resource);
    if (!free.ok()) {
      return fmt::format("free {} could not be counted: {}", resource, Message(free.status()));
    }
    if (*free < count) {
      return fmt::format("the job wants {} {}, {:.0f} are free: its tasks wait", count, resource,
                         *free);
    }
  }
  return "";
}

}  // namespace capstan
