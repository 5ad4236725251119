#include "cli/cluster_flags.h"

#include <cmath>
#include <random>

#include "net/auth_token.h"
#include "net/tls_files.h"

namespace capstan {
namespace {

StatusOr<std::chrono::milliseconds> Timeout(const char* flag, double seconds) {
  if (!(seconds > 0) || seconds > 1e7) {
    return Error("flag --{}: {} is not a number of seconds above 0", flag, seconds);
  }
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000)));
}

StatusOr<LinkSecurity> Security(FileSystem& fs, const ClusterFlags& v,
                                const std::function<void(const std::string&)>& log) {
  LinkSecurity security;
  security.insecure = v.insecure;
  const TlsFiles files{.cert = v.tls_cert, .key = v.tls_key, .ca = v.tls_ca};
  if (!files.empty()) {
    ASSIGN_OR_RETURN(security.tls, LoadTls(fs, files));
    security.server_name = v.tls_server_name;
  } else if (!v.tls_server_name.empty()) {
    return Error("flag --tls_server_name={} wants --tls_cert, --tls_key and --tls_ca",
                 v.tls_server_name);
  }
  if (!v.auth_token_file.empty()) {
    ASSIGN_OR_RETURN(const AuthTokenFile file, ReadAuthToken(fs, v.auth_token_file));
    for (const std::string& warning : file.warnings) log("warning: " + warning);
    security.token = file.token;
  }
  return security;
}

}  // namespace

void DeclareClusterFlags(FlagSet* f, ClusterFlags* v) {
  f->Group("cluster (or TF_CONFIG)");
  f->Add("ps_hosts", &v->ps_hosts, "host:port of each parameter server, by commas");
  f->Add("worker_hosts", &v->worker_hosts, "host:port of each worker, by commas; 0 is the chief");
  f->Add("job_name", &v->job_name, "this task: ps, worker or evaluator");
  f->Add("task_index", &v->task_index, "its place in its list");
  f->Add("sync", &v->sync, "all workers share each step; the same bits for any number of them");
  f->Add("backup_workers", &v->backup_workers,
         "sync: how many may compute a late slice beside its owner; the first result counts");
  f->Add("max_staleness", &v->max_staleness,
         "async: batches that a worker may be ahead of the slowest; -1: any");
  f->Add(
      "overlap_pull", &v->overlap_pull,
      "async: the pull of the next batch overlaps this batch's step; its rows lack this worker's "
      "own last push, and one batch more of each other: the staleness shown counts that");
  f->Add("wire_format", &v->wire_format, "values between tasks: fp32 or bf16");
  f->Add("start_timeout", &v->start_timeout_s, "seconds to wait for all tasks at the start");
  f->Add(
      "peer_timeout", &v->peer_timeout_s,
      "seconds to wait for a task that is gone; then exit 3 (a server saves what it holds first)");
  f->Add("worker_timeout", &v->worker_timeout_s,
         "seconds of silence after which a worker's leases are given to others");
  f->Add("auth_token_file", &v->auth_token_file, "file with a secret that all tasks share");
  f->Add("tls_cert", &v->tls_cert, "PEM certificate of this task: mutual TLS");
  f->Add("tls_key", &v->tls_key, "its key");
  f->Add("tls_ca", &v->tls_ca, "authority of the other tasks' certificates");
  f->Add("tls_server_name", &v->tls_server_name,
         "name that the other tasks' certificates carry; empty: the address that is called");
  f->Add("insecure", &v->insecure, "neither token nor TLS, beyond loopback");
  f->Add("metrics_port", &v->metrics_port, "port of /metrics and /healthz; 0: off");
}

bool IsClusterTask(const ClusterFlags& v, const std::string& tf_config) {
  if (!v.ps_hosts.empty() || !v.worker_hosts.empty() || !v.job_name.empty()) return true;
  return tf_config.find("\"ps\"") != std::string::npos;
}

StatusOr<ClusterTaskOptions> ClusterTaskFromFlags(
    FileSystem& fs, const ClusterFlags& v, const std::string& tf_config,
    const std::function<void(const std::string&)>& log) {
  ClusterTaskOptions options;
  const bool by_flags = !v.ps_hosts.empty() || !v.worker_hosts.empty() || !v.job_name.empty();
  if (by_flags) {
    ASSIGN_OR_RETURN(options.cluster.spec,
                     ParseClusterFlags(v.ps_hosts, v.worker_hosts, v.job_name, v.task_index));
  } else {
    ASSIGN_OR_RETURN(options.cluster.spec, ParseTfConfig(tf_config));
  }
  options.cluster.mode = v.sync ? TrainMode::kSync : TrainMode::kAsync;
  if (v.backup_workers < 0) return Error("flag --backup_workers={} is negative", v.backup_workers);
  options.cluster.backup_workers = v.backup_workers;
  options.cluster.max_staleness = v.max_staleness;
  if (v.overlap_pull && v.sync) {
    return Error(
        "flag --overlap_pull: not with --sync: a step's rows are those that the step before has "
        "written, so they cannot be pulled beside it");
  }
  options.cluster.overlap_pull = v.overlap_pull;
  if (v.wire_format == "bf16") {
    options.cluster.wire_format = ValueFormat::kBfloat16;
  } else if (v.wire_format != "fp32") {
    return Error("flag --wire_format: unknown '{}', wanted fp32 or bf16", v.wire_format);
  }
  ASSIGN_OR_RETURN(options.cluster.start_timeout, Timeout("start_timeout", v.start_timeout_s));
  ASSIGN_OR_RETURN(options.cluster.peer_timeout, Timeout("peer_timeout", v.peer_timeout_s));
  ASSIGN_OR_RETURN(options.cluster.worker_timeout, Timeout("worker_timeout", v.worker_timeout_s));
  if (v.metrics_port < 0 || v.metrics_port > 65535) {
    return Error("flag --metrics_port={} is not a port", v.metrics_port);
  }
  options.metrics_port = v.metrics_port;
  ASSIGN_OR_RETURN(options.security, Security(fs, v, log));
  std::random_device random;
  options.cluster.incarnation = (uint64_t{random()} << 32 | random()) | 1;
  return options;
}

}  // namespace capstan
