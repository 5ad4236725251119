// Parts of a file that go to Kubernetes as they are.
#pragma once

#include <string>

#include "base/status.h"
#include "base/yaml.h"

namespace capstan {

// The node as JSON in file order, by the rules that Kubernetes' own tools have (YAML 1.1: plain
// true, yes, on are truth values; 0644 is octal; quoted scalars are text). Absent → "null". Errors
// name the place: a key that is given twice, a number out of range, more than 100,000 nodes.
StatusOr<std::string> JsonOfYaml(const YamlNode& node);

}  // namespace capstan
