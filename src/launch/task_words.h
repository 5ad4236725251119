// Words and environment of tasks: addresses put in where they are asked for, TF_CONFIG, and
// Kubernetes' references.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "launch/job_spec.h"

namespace capstan {

// "host:port" of all tasks that take part in training; evaluators do not, and nobody calls them.
struct ClusterHosts {
  std::string chief;  // "" : worker 0 leads
  std::vector<std::string> workers, ps;
};

// Who a text is for. `index` is a number, or a reference that the engine resolves.
struct TaskPlace {
  std::string role;
  std::string index;
  std::string address;  // its own "host:port"
  int port = 0;
};

// TF_CONFIG as TFJob writes it:
//   {"cluster":{"chief":[…],"worker":[…],"ps":[…]},"task":{"type":"ps","index":0},"environment":"cloud"}
// sparse: a worker sees the servers, the chief and itself, a server the chief and itself, by index:
//   {"cluster":{"worker":{"3":"…"},"ps":[…]},"task":{"type":"worker","index":3}}
std::string TfConfigText(const ClusterHosts& hosts, const TaskPlace& place, bool sparse);

// Replaces {ps_hosts}, {worker_hosts}, {chief_host}, {job_name}, {task_index}, {port}. Other braces
// are text, but one that is nearly a known name is an error that names it.
StatusOr<std::string> ReplacePlaceholders(const std::string& text, const ClusterHosts& hosts,
                                          const TaskPlace& place);

// What Kubernetes reads as `text` itself: "$(" and "$$" with the dollar doubled.
std::string EscapeReferences(std::string_view text);
// What Kubernetes makes of `text`: $(NAME) by `env`, an unknown name as it stands, $$ as $.
std::string ExpandReferences(std::string_view text, const std::vector<EnvVar>& env);

// Folders of this machine in place of mount points (from, to), in a word such as
// "--train_files=/data/a,/data/b" or a value of the environment.
using PathMap = std::vector<std::pair<std::string, std::string>>;
std::string MapPaths(std::string_view text, const PathMap& paths);

}  // namespace capstan
