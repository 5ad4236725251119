// What a job file or a TFJob asks for, in plain values. Nothing here knows an engine: Plan turns it
// into tasks.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/failure_table.h"

namespace capstan {

enum class JobRole { kChief, kWorker, kPs, kEvaluator };
inline constexpr JobRole kJobRoles[] = {JobRole::kChief, JobRole::kWorker, JobRole::kPs,
                                        JobRole::kEvaluator};
// "chief", "worker", "ps", "evaluator": TensorFlow's words.
std::string_view NameOf(JobRole role);

struct EnvVar {
  std::string name;
  std::string value;
  // JSON of Kubernetes' valueFrom, instead of a value; only Kubernetes can give it.
  std::string value_from;

  bool operator==(const EnvVar&) const = default;
};

struct VolumeSpec {
  enum class Kind { kNone, kClaim, kHostPath, kConfigMap, kSecret, kEmpty };
  std::string name;         // DNS label, unique in its role
  Kind kind = Kind::kNone;  // what it is on Kubernetes and Docker; kNone: only `folder`
  std::string source;       // name of the claim, config map or secret, or the host's path
  std::string folder;       // local and Docker runs: this folder instead of `source`
  std::string mount_path;   // absolute, in the task
  std::string sub_path;     // folder inside the volume
  std::string size_limit;   // of an empty one; quantity
  bool memory = false;      // an empty one in memory
  bool read_only = false;

  // Whether what is written there is there when the task's pod or container is gone.
  bool outlives_task() const {
    return kind == Kind::kNone || kind == Kind::kClaim || kind == Kind::kHostPath;
  }
  bool operator==(const VolumeSpec&) const = default;
};

struct Toleration {
  std::string key, op, value, effect;  // Kubernetes' own words
  bool operator==(const Toleration&) const = default;
};

// Kubernetes quantities ("500m", "2Gi"); "" = not asked for.
struct ResourceSpec {
  std::string cpu, cpu_limit;
  std::string memory, memory_limit;
  int gpus = 0;
  std::string gpu_resource = "nvidia.com/gpu";  // or "nvidia.com/mig-1g.5gb", "amd.com/gpu"
  std::string gpu_model;                        // as the node's label nvidia.com/gpu.product
  std::string gpu_memory;                       // at least so much on each
  bool operator==(const ResourceSpec&) const = default;
};

// What runs in a container. What tasks and servers have in common.
struct ProgramSpec {
  std::string image;
  // Kubernetes' terms: `command` replaces the image's entry point, `args` its arguments. With an
  // empty command nobody but the image knows what runs, and nobody can supervise it.
  std::vector<std::string> command;
  std::vector<std::string> args;
  std::vector<EnvVar> env;  // names are unique
  std::string working_dir;
  std::vector<std::pair<std::string, int>> ports;  // further ones, by name
  ResourceSpec resources;
  std::vector<VolumeSpec> volumes;
  std::map<std::string, std::string> node_selector;
  std::vector<Toleration> tolerations;
  // JSON of a PodTemplateSpec {metadata, spec}, merged beneath what is ours; "" = none.
  std::string pod;

  bool operator==(const ProgramSpec&) const = default;
};

struct RoleSpec {
  JobRole role = JobRole::kWorker;
  int replicas = 1;
  int port = 2222;  // by which the other tasks call
  ProgramSpec program;
  FailureTable failures;
  int64_t stop_timeout_s = 60;  // from the request to end to the kill
  int min_available = 0;        // above 0: a PodDisruptionBudget

  bool operator==(const RoleSpec&) const = default;
};

enum class DoneWhen { kChief, kAllWorkers };
enum class GangRoute { kAuto, kNone, kPodGroup, kCoscheduling, kVolcano, kKueue };
std::string_view NameOf(GangRoute route);
StatusOr<GangRoute> ParseGangRoute(std::string_view word);

struct SecuritySpec {
  bool token = true;       // tasks share a secret token
  std::string token_file;  // "": made anew for each submit
  std::string tls_secret;  // Secret (or, for local runs, folder) of tls.crt, tls.key, ca.crt

  bool operator==(const SecuritySpec&) const = default;
};

struct TensorBoardSpec {
  std::string image;
  std::string log_dir;
  int port = 6006;
  bool operator==(const TensorBoardSpec&) const = default;
};

enum class ServiceKind { kClusterIp, kLoadBalancer, kHeadless };

struct ServeSpec {
  std::string model_name;
  std::string model_path;  // folder of numbered versions, in a volume or in the image
  ProgramSpec program;     // no command and no args: TF Serving's flags are given to the image
  int replicas = 1;
  int port = 8500;
  int rest_port = 8501;
  std::string ready_path;  // HTTP path on rest_port; "": the model's metadata
  int autoscale_max = 0;   // 0: no autoscaling
  int autoscale_min = 1;
  int autoscale_cpu_percent = 70;
  ServiceKind service = ServiceKind::kClusterIp;
  int64_t drain_s = 10;           // between "not ready" and the request to end
  int64_t stop_timeout_s = 60;    // of all of the end
  int64_t start_timeout_s = 600;  // until it is ready
  int max_surge = 1;              // replicas more, or fewer, in a rolling update
  int max_unavailable = 0;
  int max_disrupted = 1;  // PodDisruptionBudget; 0: none is made
  std::string gateway;    // "name" or "namespace/name": a GRPCRoute is made
  std::string hostname;   // of the route; "": any
  std::vector<std::pair<std::string, int>> route_weights;  // Service name → weight

  bool operator==(const ServeSpec&) const = default;
};

struct JobSpec {
  std::string name;
  std::vector<RoleSpec> roles;  // in the order of kJobRoles, each at most once, replicas ≥ 1
  std::optional<ServeSpec> serve;
  std::optional<TensorBoardSpec> tensorboard;

  DoneWhen done_when = DoneWhen::kChief;
  int64_t deadline_s = 0;         // 0: none
  int64_t start_timeout_s = 600;  // until all tasks run; then what was taken is let go
  int64_t time_to_live_s = -1;    // after the end; -1: stays
  GangRoute gang = GangRoute::kAuto;
  int gang_min_tasks = 0;  // 0: all
  std::string queue;
  std::string priority_class;
  std::string namespace_name;  // "": the engine's default
  std::string cluster_domain;  // "": names end with .svc
  std::string service_account;
  std::string image_pull_policy;
  std::string supervisor_image;  // holds /capstan-task; "": the engine's default
  SecuritySpec security;
  bool allow_ephemeral = false;
  bool unsupervised = false;
  bool dynamic_workers = false;  // a worker may be lost for good; sparse TF_CONFIG
  bool suspended = false;        // submitted, but not started

  // From a TFJob: its words are Kubernetes' (no {placeholders}, $(VAR) refers to env), and its pods
  // carry these labels and annotations.
  bool is_manifest = false;
  std::map<std::string, std::string> labels, annotations;
  // Folder of the file: relative folders of volumes are beneath it.
  std::string base_folder;
  // Sentences about what is honoured otherwise than the file may expect.
  std::vector<std::string> warnings;

  const RoleSpec* Find(JobRole role) const;
  // The tasks of all roles.
  int task_count() const;
  // Whose end ends the job: the chief, or worker 0 (all workers when done_when says so).
  JobRole leading_role() const;
};

}  // namespace capstan
