#include "launch/serving_objects.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "launch/name_rules.h"
#include "launch/object_parts.h"
#include "launch/pod_merge.h"
#include "launch/program_template.h"
#include "launch/task_pod.h"
#include "launch/task_words.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

// Also what makes a change of the file a new revision, and no other Service's selector.
Json LabelsOf(const Plan& plan) { return {{kServeLabel, plan.spec.name}}; }

ProgramSpec ServeProgram(const Plan& plan) {
  const ServeSpec& serve = *plan.spec.serve;
  ProgramSpec program = serve.program;
  for (auto* words : {&program.command, &program.args}) {
    for (std::string& word : *words) word = EscapeReferences(word);
  }
  for (EnvVar& var : program.env) var.value = EscapeReferences(var.value);
  // TensorFlow Serving's flags, which an image's entry point takes behind its own.
  if (program.command.empty() && program.args.empty()) {
    program.args = {fmt::format("--port={}", serve.port),
                    fmt::format("--rest_api_port={}", serve.rest_port),
                    "--model_name=" + serve.model_name, "--model_base_path=" + serve.model_path};
  }
  program.ports.insert(program.ports.begin(), {{"grpc", serve.port}, {"rest", serve.rest_port}});
  return program;
}

// The status of TensorFlow Serving answers 200 while a model still loads; its metadata does not.
Json ProbeOf(const ServeSpec& serve) {
  Json probe;
  probe["httpGet"] = {
      {"path", serve.ready_path.empty() ? "/v1/models/" + serve.model_name + "/metadata"
                                        : serve.ready_path},
      {"port", "rest"}};
  return probe;
}

Json PreStopOf(const ServeSpec& serve, const KubernetesTarget& target) {
  Json hook;
  if (HasPreStopSleep(target)) {
    hook["sleep"]["seconds"] = serve.drain_s;
  } else {
    hook["exec"]["command"] = Json::array({"sleep", std::to_string(serve.drain_s)});
  }
  return {{"preStop", hook}};
}

constexpr int kProbeSeconds = 5;

StatusOr<Json> PodTemplate(const Plan& plan, const KubernetesTarget& target) {
  const ServeSpec& serve = *plan.spec.serve;
  const ProgramSpec program = ServeProgram(plan);
  Json pod;
  pod["metadata"]["labels"] = LabelsOf(plan);
  Json& spec = pod["spec"];
  spec["terminationGracePeriodSeconds"] = serve.stop_timeout_s;
  if (plan.spec.service_account.empty()) {
    spec["automountServiceAccountToken"] = false;
  } else {
    spec["serviceAccountName"] = plan.spec.service_account;
  }
  spec["enableServiceLinks"] = false;
  Json spread = {{"maxSkew", 1},
                 {"topologyKey", "kubernetes.io/hostname"},
                 {"whenUnsatisfiable", "ScheduleAnyway"}};
  spread["labelSelector"]["matchLabels"] = LabelsOf(plan);
  spec["topologySpreadConstraints"] = Json::array({spread});
  spec.update(Json::parse(ProgramPodSpec(program, "serve", plan.spec.image_pull_policy)));
  Json& container = spec["containers"][0];
  Json startup = ProbeOf(serve);
  startup["periodSeconds"] = kProbeSeconds;
  startup["failureThreshold"] = std::max<int64_t>(serve.start_timeout_s / kProbeSeconds, 1);
  container["startupProbe"] = startup;
  Json ready = ProbeOf(serve);
  ready["periodSeconds"] = kProbeSeconds;
  ready["failureThreshold"] = 2;
  container["readinessProbe"] = ready;
  if (serve.drain_s > 0) container["lifecycle"] = PreStopOf(serve, target);
  const StatusOr<std::string> merged = PutBeneath(pod.dump(), program.pod);
  if (!merged.ok()) return Annotate(merged.status(), "serve");
  return Json::parse(*merged, nullptr, /*allow_exceptions=*/false);
}

KubernetesObject Named(const Plan& plan, const char* api_version, const char* kind,
                       const char* resource) {
  return {
      .api_version = api_version, .kind = kind, .resource = resource, .name = ServeName(plan.spec)};
}

StatusOr<KubernetesObject> Deployment(const Plan& plan, const KubernetesTarget& target) {
  const ServeSpec& serve = *plan.spec.serve;
  KubernetesObject object = Named(plan, "apps/v1", "Deployment", "deployments");
  Json spec = Json::object();
  // With an autoscaler the number of replicas is its.
  if (serve.autoscale_max == 0) spec["replicas"] = serve.replicas;
  spec["progressDeadlineSeconds"] = serve.start_timeout_s + 60;
  spec["strategy"]["type"] = "RollingUpdate";
  spec["strategy"]["rollingUpdate"] = {{"maxSurge", serve.max_surge},
                                       {"maxUnavailable", serve.max_unavailable}};
  spec["selector"]["matchLabels"] = LabelsOf(plan);
  ASSIGN_OR_RETURN(spec["template"], PodTemplate(plan, target));
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject Service(const Plan& plan) {
  const ServeSpec& serve = *plan.spec.serve;
  KubernetesObject object = Named(plan, "v1", "Service", "services");
  Json spec = Json::object();
  if (serve.service == ServiceKind::kHeadless) spec["clusterIP"] = "None";
  spec["type"] = serve.service == ServiceKind::kLoadBalancer ? "LoadBalancer" : "ClusterIP";
  spec["selector"] = LabelsOf(plan);
  const auto port = [](const char* name, int number) {
    return Json{{"name", name}, {"port", number}, {"targetPort", name}};
  };
  spec["ports"] = Json::array({port("grpc", serve.port), port("rest", serve.rest_port)});
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject Autoscaler(const Plan& plan) {
  const ServeSpec& serve = *plan.spec.serve;
  KubernetesObject object =
      Named(plan, "autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers");
  Json metric = {{"type", "Resource"}};
  metric["resource"] = {{"name", "cpu"}};
  metric["resource"]["target"] = {{"type", "Utilization"},
                                  {"averageUtilization", serve.autoscale_cpu_percent}};
  Json spec;
  spec["scaleTargetRef"] = {
      {"apiVersion", "apps/v1"}, {"kind", "Deployment"}, {"name", object.name}};
  spec["minReplicas"] = serve.autoscale_min;
  spec["maxReplicas"] = serve.autoscale_max;
  spec["metrics"] = Json::array({metric});
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject Budget(const Plan& plan, const KubernetesTarget& target) {
  KubernetesObject object = Named(plan, "policy/v1", "PodDisruptionBudget", "poddisruptionbudgets");
  Json spec = {{"maxUnavailable", plan.spec.serve->max_disrupted}};
  if (target.minor >= 31) spec["unhealthyPodEvictionPolicy"] = "AlwaysAllow";
  spec["selector"]["matchLabels"] = LabelsOf(plan);
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

KubernetesObject Route(const Plan& plan) {
  const ServeSpec& serve = *plan.spec.serve;
  KubernetesObject object = Named(plan, "gateway.networking.k8s.io/v1", "GRPCRoute", "grpcroutes");
  const size_t slash = serve.gateway.find('/');
  Json parent = {{"name", serve.gateway.substr(slash == std::string::npos ? 0 : slash + 1)}};
  if (slash != std::string::npos) parent["namespace"] = serve.gateway.substr(0, slash);
  Json spec;
  spec["parentRefs"] = Json::array({parent});
  if (!serve.hostname.empty()) spec["hostnames"] = Json::array({serve.hostname});
  auto weights = serve.route_weights;
  if (weights.empty()) weights = {{object.name, 1}};
  Json backends = Json::array();
  for (const auto& [name, weight] : weights) {
    backends.push_back({{"name", name}, {"port", serve.port}, {"weight", weight}});
  }
  Json rule;
  rule["backendRefs"] = backends;
  spec["rules"] = Json::array({rule});
  FillObject(plan, Json{{"spec", spec}}.dump(), {}, &object);
  return object;
}

}  // namespace

StatusOr<std::vector<KubernetesObject>> ServingObjects(const Plan& plan,
                                                       const KubernetesTarget& target) {
  const ServeSpec& serve = *plan.spec.serve;
  std::vector<KubernetesObject> objects;
  ASSIGN_OR_RETURN(KubernetesObject deployment, Deployment(plan, target));
  objects.push_back(std::move(deployment));
  objects.push_back(Service(plan));
  if (serve.autoscale_max > 0) objects.push_back(Autoscaler(plan));
  if (serve.max_disrupted > 0) objects.push_back(Budget(plan, target));
  if (!serve.gateway.empty()) objects.push_back(Route(plan));
  return objects;
}

}  // namespace capstan
