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
  std::vector<std::string> ps;       // "host:port", by index; "" where a sparse TF_CONFIG
  std::vector<std::string> workers;  // … does not say
  std::string chief;                 // "": worker 0 is the chief
  std::string evaluator;             // "": none, or without an address
  TaskRole role = TaskRole::kWorker;
  int index = 0;
  // The lists name only some tasks, perhaps not the last: other tasks may know more of them.
  bool is_sparse = false;

  bool is_chief() const {
    return role == TaskRole::kChief || (role == TaskRole::kWorker && index == 0 && chief.empty());
  }
  // "" only for a server of a sparse TF_CONFIG, whom the chief calls.
  const std::string& chief_address() const;
  // Tasks that train: the workers, and a chief of its own. Sparse: at least so many.
  int trainer_count() const { return static_cast<int>(workers.size()) + (chief.empty() ? 0 : 1); }
  // "worker 1", "ps 0", "chief", "evaluator"
  std::string task_name() const;
  // Own "host:port"; "" for an evaluator without one.
  const std::string& own_address() const;
};

// Flags as given; both lists by commas. job_name is ps, worker (whose 0 is the chief) or evaluator
// (index 0). Errors name the flag: an address without port, twice the same address, an index beyond
// its list, an unknown job_name.
StatusOr<ClusterSpec> ParseClusterFlags(std::string_view ps_hosts, std::string_view worker_hosts,
                                        std::string_view job_name, int task_index);

// The text of TF_CONFIG. "master" is an old name of "chief"; keys beside cluster and task are
// ignored. A sparse form that names this worker but neither a chief nor worker 0 is completed by
// TFJob's rule for names: job-worker-3.… has its chief at job-worker-0.… Errors name the key.
StatusOr<ClusterSpec> ParseTfConfig(std::string_view json);

}  // namespace capstan
