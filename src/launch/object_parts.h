// What all objects of a job have in common.
#pragma once

#include <map>
#include <string>

#include "launch/kubernetes_objects.h"

namespace capstan {

// An object with metadata: name, namespace, labels, and the owner reference where it `is_owned`.
// `body_json` holds the fields after metadata (spec, data, …) as a JSON map. api_version, kind,
// resource, name and is_owned of `object` must be set; json is filled.
void FillObject(const Plan& plan, const std::string& body_json,
                const std::map<std::string, std::string>& annotations, KubernetesObject* object);

}  // namespace capstan
