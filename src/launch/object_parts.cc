#include "launch/object_parts.h"

#include <nlohmann/json.hpp>

#include "launch/job_objects.h"

namespace capstan {

void FillObject(const Plan& plan, const std::string& body_json,
                const std::map<std::string, std::string>& annotations, KubernetesObject* object) {
  using Json = nlohmann::ordered_json;
  Json json = {{"apiVersion", object->api_version}, {"kind", object->kind}};
  Json metadata = {{"name", object->name}, {"namespace", plan.namespace_name}};
  Json labels = plan.spec.labels;
  labels["app.kubernetes.io/managed-by"] = "capstan";
  labels[kJobLabel] = plan.spec.name;
  if (object->kind == "Job" && plan.spec.gang == GangRoute::kKueue) {
    labels["kueue.x-k8s.io/queue-name"] = plan.spec.queue;
  }
  metadata["labels"] = labels;
  if (!annotations.empty()) metadata["annotations"] = annotations;
  if (object->is_owned) {
    const Json owner = {{"apiVersion", "batch/v1"},
                        {"kind", "Job"},
                        {"name", AnchorName(plan)},
                        {"uid", kAnchorUid},
                        {"blockOwnerDeletion", false}};
    metadata["ownerReferences"] = Json::array({owner});
  }
  json["metadata"] = metadata;
  json.update(Json::parse(body_json, nullptr, /*allow_exceptions=*/false));
  object->json = json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace capstan
