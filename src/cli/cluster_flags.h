// The flags of `capstan train` that make it a task of a cluster.
#pragma once

#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "cli/flags.h"
#include "train/cluster_task.h"

namespace capstan {

struct ClusterFlags {
  std::string ps_hosts, worker_hosts, job_name;
  int task_index = 0;
  bool sync = false;
  int backup_workers = 0;
  int64_t max_staleness = -1;
  bool overlap_pull = false;
  std::string wire_format = "fp32";
  double start_timeout_s = 300, peer_timeout_s = 60, worker_timeout_s = 10;
  std::string auth_token_file, tls_cert, tls_key, tls_ca, tls_server_name;
  bool insecure = false;
  int metrics_port = 0;
};

void DeclareClusterFlags(FlagSet* flags, ClusterFlags* values);

// Whether this process is a task of a cluster: flags of hosts, or TF_CONFIG with a cluster.
bool IsClusterTask(const ClusterFlags& values, const std::string& tf_config);

// Everything but the session's own options; `log` hears warnings about the token's file.
StatusOr<ClusterTaskOptions> ClusterTaskFromFlags(
    FileSystem& fs, const ClusterFlags& values, const std::string& tf_config,
    const std::function<void(const std::string&)>& log);

}  // namespace capstan
