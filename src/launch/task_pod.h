// The pod template of a role's tasks.
#pragma once

#include <string>

#include "base/status.h"
#include "launch/kubernetes_objects.h"
#include "launch/plan.h"

namespace capstan {

// Which of the failure table's fields a version has.
inline bool HasFailurePolicy(const KubernetesTarget& target) { return target.minor >= 31; }
inline bool HasPreStopSleep(const KubernetesTarget& target) { return target.minor >= 34; }

// JSON of a PodTemplateSpec. In layout L1 `role` is any: they are alike. Errors name a field of
// `pod` that is the job's own.
StatusOr<std::string> TaskPodTemplate(const Plan& plan, const RolePlan& role,
                                      const KubernetesTarget& target);

// The container's name: "task", or TFJob's "tensorflow".
std::string TaskContainer(const JobSpec& job);

}  // namespace capstan
