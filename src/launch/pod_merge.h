// What a file says of pods beyond its own keys, put beneath what is rendered.
#pragma once

#include <string>

#include "base/status.h"

namespace capstan {

// Merges two PodTemplateSpecs (JSON): the result has all fields of both. Maps are merged by key;
// containers, volumes, env and other named lists by name, volumeMounts by mountPath, ports by
// containerPort; other lists of maps are joined, ours first. A field that both set to different
// values is an error that names it: "pod.spec.containers[task].image is 'a', which the job sets to
// 'b'".
StatusOr<std::string> PutBeneath(const std::string& ours, const std::string& theirs);

}  // namespace capstan
