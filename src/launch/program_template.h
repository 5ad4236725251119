// A program as the spec of a pod: what training tasks, TensorBoard and servers have in common.
#pragma once

#include <string>

#include "launch/job_spec.h"

namespace capstan {

// JSON of a PodSpec with one container and its volumes, node selector, affinity by GPU model and
// memory, tolerations. `program` must have been checked. What `program.pod` says is not in it.
std::string ProgramPodSpec(const ProgramSpec& program, const std::string& container_name,
                           const std::string& image_pull_policy);

}  // namespace capstan
