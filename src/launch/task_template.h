// The pod template of a manifest, taken apart: what our plan needs to know, and the rest.
#pragma once

#include <string>

#include "base/status.h"
#include "launch/job_spec.h"

namespace capstan {

// Takes from a PodTemplateSpec (JSON) the container called `container`: image, words, environment,
// folder, the port called `port_name`, processors, memory, GPUs, simple volumes, and the grace
// period. All else stays in role->program.pod, to be merged beneath what is rendered. A restart
// policy is dropped: it is the job's. Errors name the field by its path.
Status TakeTaskTemplate(const std::string& template_json, const std::string& container,
                        const std::string& port_name, RoleSpec* role);

}  // namespace capstan
