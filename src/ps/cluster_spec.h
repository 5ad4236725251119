// Who takes part in a job: from --ps_hosts, --worker_hosts, --job_name, --task_index, or from
// TF_CONFIG.
//
//   TF_CONFIG := {"cluster": {"chief": ["h:p"], "ps": […], "worker": […], "evaluator": […]},
//                 "task": {"type": "worker", "index": 0}}
//   sparse:      "cluster": {"ps": […], "worker": {"1": "h:p"}} names only whom this task needs
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

enum class TaskRole { kPs, kWorker, kChief, kEvaluator };
std::string_view NameOf(TaskRole role);

struct ClusterSpec {
  std::vector<std::string> ps;       // "host:port", by index
  std::vector<std::string> workers;  // by index; "" where a sparse TF_CONFIG does not say
  std::string chief;                 // "": worker 0 is the chief
  TaskRole role = TaskRole::kWorker;
  int index = 0;

  bool is_chief() const {
    return role == TaskRole::kChief || (role == TaskRole::kWorker && index == 0 && chief.empty());
  }
  const std::string& chief_address() const { return chief.empty() ? workers[0] : chief; }
  // Tasks that train: the workers, and a chief of its own.
  int trainer_count() const { return static_cast<int>(workers.size()) + (chief.empty() ? 0 : 1); }
  // "worker 1", "ps 0", "chief"
  std::string task_name() const;
  // Own "host:port".
  const std::string& own_address() const;
};

// Flags as given; both lists by commas. Errors name the flag: an address without port, twice the
// same address, an index beyond its list, an unknown job_name.
StatusOr<ClusterSpec> ParseClusterFlags(std::string_view ps_hosts, std::string_view worker_hosts,
                                        std::string_view job_name, int task_index);
// The text of TF_CONFIG. Errors name the key.
StatusOr<ClusterSpec> ParseTfConfig(std::string_view json);

}  // namespace capstan
