// The `serve` block of a job file: Deployment, Service, HorizontalPodAutoscaler,
// PodDisruptionBudget and, with a gateway, a GRPCRoute. They belong to no Job: a model is served on
// when its training is deleted.
#pragma once

#include <vector>

#include "base/status.h"
#include "launch/kubernetes_objects.h"

namespace capstan {

// plan.spec.serve must be there.
StatusOr<std::vector<KubernetesObject>> ServingObjects(const Plan& plan,
                                                       const KubernetesTarget& target);

}  // namespace capstan
