// The Jobs of a plan, and what stands beside them: Service, Secret, PodGroup, disruption budgets,
// TensorBoard. See kubernetes_objects.h.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "launch/kubernetes_objects.h"

namespace capstan {

// The anchor's name: the Job whose end is the job's end.
std::string AnchorName(const Plan& plan);

// The Job of a role (layout L1: of all), the anchor suspended.
StatusOr<KubernetesObject> RoleJob(const Plan& plan, const RolePlan& role,
                                   const KubernetesTarget& target);

// In the order of writing, between the anchor and the other Jobs.
StatusOr<std::vector<KubernetesObject>> ObjectsBeside(const Plan& plan,
                                                      const KubernetesTarget& target);

// Deployment and Service of TensorBoard on the leading role's volumes.
std::vector<KubernetesObject> TensorBoardObjects(const Plan& plan);

}  // namespace capstan
