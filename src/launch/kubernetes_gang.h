// All tasks of a job get their places, or none: by what the cluster has for it.
#pragma once

#include <string>

#include "launch/kubernetes_objects.h"
#include "net/kubernetes_client.h"

namespace capstan {

// The route of the plan, or the best that the cluster has: Kueue where the job names a queue, the
// scheduler's own PodGroup, Volcano, coscheduling; kNone otherwise. kFailedPrecondition: the plan
// names a route that the cluster has not.
StatusOr<GangRoute> ChooseGang(KubernetesClient* client, const JobSpec& job);

// Without a gang, two jobs may each hold half of what both need. Counts what is free of the devices
// that the plan asks for; a sentence if it is not enough, or if we may not look; "" otherwise.
std::string DeviceShortage(KubernetesClient* client, const Plan& plan);

}  // namespace capstan
