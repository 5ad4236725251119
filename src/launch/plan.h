// The tasks of a job on one kind of engine: names, addresses, words, environment. Pure data: made
// once, checked before anything is started, printed by `capstan render`, carried out by an Engine.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/job_spec.h"

namespace capstan {

enum class EngineKind { kLocal, kDocker, kKubernetes };
std::string_view NameOf(EngineKind kind);
StatusOr<EngineKind> ParseEngineKind(std::string_view word);

// Where a task in a container finds what the engine puts there. Local runs have no mounts: their
// words name the files of this machine.
inline constexpr char kTokenPath[] = "/var/run/capstan/token/token";
inline constexpr char kTlsPath[] = "/var/run/capstan/tls";  // tls.crt, tls.key, ca.crt
// capstan-task, the supervisor of programs that are not capstan (docs/capstan_task.md):
//   capstan-task --job=J --tasks=worker:2,ps:2 --role=R --index=I --leaders=HOST,… [--codes=42:0]
//     [--final_codes=1-127] --token_file=F -- WORDS
// Layout L1: without --role the index is over all of --tasks; {job_name} and {task_index} are
// replaced in WORDS and in TF_CONFIG, and CAPSTAN_ROLE is set.
inline constexpr char kSupervisorPath[] = "/var/run/capstan/bin/capstan-task";
inline constexpr int kSupervisorPort = 2221;
// Kubernetes gives each task its index by this reference, which stands where an index is wanted in
// RolePlan's words.
inline constexpr char kIndexReference[] = "$(JOB_COMPLETION_INDEX)";

// A task. `command`, `args` and `env` are as local and Docker engines start it, all references
// resolved; a plan for Kubernetes has them once per role, in RolePlan.
struct TaskPlan {
  std::string name;  // "<job>-<role>-<index>": container, host name, prefix of log lines
  JobRole role = JobRole::kWorker;
  int index = 0;
  std::string address;  // "host:port" by which the other tasks call it
  int port = 0;
  std::vector<std::string> command;  // empty: the image's own entry point
  std::vector<std::string> args;
  std::vector<EnvVar> env;  // ours first, then the user's
  std::string working_dir;  // "": the image's; local: the caller's
  bool leads = false;       // the job is done when all leading tasks have succeeded
};

// The tasks of one role, which share everything but the index.
struct RolePlan {
  RoleSpec spec;         // paths of volumes, image, resources, failures: as the file says
  std::string job_name;  // "<job>-<role>" ("<job>" in layout L1): Kubernetes Job
  // Kubernetes: with kIndexReference for the index, and its own `$(` escaped where the file means
  // the text. In layout L1 {job_name} and {task_index} are left to capstan-task.
  std::vector<std::string> command, args;
  std::vector<EnvVar> env;
  bool is_capstan = false;  // the command is `capstan train`
  bool supervised = false;  // the command is wrapped into capstan-task
  std::vector<TaskPlan> tasks;
};

struct Plan {
  JobSpec spec;
  EngineKind engine = EngineKind::kLocal;
  std::string namespace_name;   // Kubernetes
  std::vector<RolePlan> roles;  // in the order of kJobRoles
  bool has_token = false;       // the engine gives the token's file to each task
  bool sparse = false;          // TF_CONFIG names only whom a task needs
  bool one_job = false;         // layout L1: one Kubernetes Job, tasks "<job>-<index over all>"
  std::string supervisor_image;
  std::vector<std::string> warnings;

  const RolePlan* Find(JobRole role) const;
  std::vector<const TaskPlan*> tasks() const;
};

struct PlanOptions {
  EngineKind engine = EngineKind::kLocal;
  std::string namespace_name;                       // "": the file's, or the default one
  std::string default_namespace = "default";        // where neither says
  std::string supervisor_image = "capstan:latest";  // where the file does not say
  // Either the file or the caller may say so.
  bool allow_ephemeral = false;
  bool unsupervised = false;
  bool one_job = false;  // Kubernetes: layout L1 instead of L2; all roles must be alike
  // Local: a free port of 127.0.0.1 at each call. Must be set for kLocal.
  std::function<StatusOr<int>()> choose_port;
};

// Everything that can be known before the first request is checked here: names and their lengths,
// labels, quantities, environment and words under the kernel's 128 KiB, volumes that outlive pods
// beneath checkpoints, object stores refused by name, programs that cannot be supervised.
//
// `capstan train` gets no flags of hosts: it reads TF_CONFIG. It gets --auth_token_file or --tls_…
// when the job has a token or certificates and its command names neither.
StatusOr<Plan> MakePlan(const JobSpec& spec, const PlanOptions& options);

// The plan as people read it: a task with address, command and environment each.
std::string DescribePlan(const Plan& plan);

}  // namespace capstan
