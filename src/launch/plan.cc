#include "launch/plan.h"

#include <algorithm>

#include "base/file_system.h"
#include "base/nearest.h"
#include "launch/name_rules.h"
#include "launch/plan_checks.h"
#include "launch/task_storage.h"
#include "launch/task_words.h"

namespace capstan {
namespace {

std::string ResolvedFolder(const JobSpec& job, const std::string& folder) {
  if (folder.empty() || folder.starts_with('/') || job.base_folder.empty()) return folder;
  return JoinPath(job.base_folder, folder);
}

// Local runs: mount points and the folders in their place.
PathMap LocalPaths(const JobSpec& job, const ProgramSpec& program) {
  PathMap paths;
  for (const VolumeSpec& volume : program.volumes) {
    std::string folder = ResolvedFolder(job, volume.folder);
    if (folder.empty() && volume.kind == VolumeSpec::Kind::kHostPath) folder = volume.source;
    if (folder.empty()) continue;
    if (!volume.sub_path.empty()) folder = JoinPath(folder, volume.sub_path);
    std::string mount = volume.mount_path;
    while (mount.size() > 1 && mount.ends_with('/')) mount.pop_back();
    paths.emplace_back(mount, folder);
  }
  return paths;
}

bool HasFlag(const std::vector<std::string>& words, std::string_view flag) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == flag || word.starts_with(std::string(flag) + "=");
  });
}

std::string HostOf(const std::string& address) { return address.substr(0, address.rfind(':')); }

// Everything that the words of all tasks are made from.
class Planner {
 public:
  Planner(const PlanOptions& options, Plan* plan) : options_(options), plan_(plan) {}

  Status Make() {
    for (const RoleSpec& role : plan_->spec.roles) RETURN_IF_ERROR(AddRole(role));
    CollectHosts();
    RETURN_IF_ERROR(ChooseForm());
    for (RolePlan& role : plan_->roles) RETURN_IF_ERROR(FillWords(&role));
    return OkStatus();
  }

 private:
  const JobSpec& job() const { return plan_->spec; }
  bool on_kubernetes() const { return plan_->engine == EngineKind::kKubernetes; }
  bool is_cluster() const { return job().task_count() > 1; }

  Status AddRole(const RoleSpec& spec);
  StatusOr<std::string> AddressOf(const std::string& task, int port, int* chosen_port) const;
  void CollectHosts();
  Status ChooseForm();
  Status FillWords(RolePlan* role);
  Status WordsFor(const RolePlan& role, const TaskPlace& place, TaskPlan* task) const;
  void AddSecurityFlags(std::vector<std::string>* words) const;
  void Supervise(const RolePlan& role, const TaskPlace& place, TaskPlan* task) const;
  bool NeedsSupervisor(const RoleSpec& role) const;
  TaskPlace PlaceOf(const RolePlan& role, const TaskPlan& task) const;
  TaskPlace SharedPlaceOf(const RolePlan& role) const;

  const PlanOptions& options_;
  Plan* const plan_;
  ClusterHosts hosts_;
  int next_index_ = 0;  // over all roles, layout L1
};

StatusOr<std::string> Planner::AddressOf(const std::string& task, int port,
                                         int* chosen_port) const {
  *chosen_port = port;
  switch (plan_->engine) {
    case EngineKind::kKubernetes: {
      const std::string& domain = job().cluster_domain;
      return fmt::format("{}.{}.{}.svc{}{}:{}", task, job().name, plan_->namespace_name,
                         domain.empty() ? "" : ".", domain, port);
    }
    case EngineKind::kDocker:
      return fmt::format("{}:{}", task, port);
    case EngineKind::kLocal:
      break;
  }
  ASSIGN_OR_RETURN(*chosen_port, options_.choose_port());
  return fmt::format("127.0.0.1:{}", *chosen_port);
}

Status Planner::AddRole(const RoleSpec& spec) {
  RolePlan role{.spec = spec};
  role.job_name = plan_->one_job ? job().name : RoleName(job().name, spec.role);
  role.is_capstan = IsCapstanTrain(spec.program);
  role.supervised = NeedsSupervisor(spec);
  for (int i = 0; i < spec.replicas; ++i) {
    TaskPlan task{.role = spec.role, .index = i};
    task.name = plan_->one_job ? fmt::format("{}-{}", job().name, next_index_)
                               : TaskName(job().name, spec.role, i);
    ++next_index_;
    ASSIGN_OR_RETURN(task.address, AddressOf(task.name, spec.port, &task.port));
    task.leads =
        spec.role == job().leading_role() && (i == 0 || job().done_when == DoneWhen::kAllWorkers);
    role.tasks.push_back(std::move(task));
  }
  plan_->roles.push_back(std::move(role));
  return OkStatus();
}

bool Planner::NeedsSupervisor(const RoleSpec& role) const {
  // A local engine sees the ends of all tasks itself.
  if (plan_->engine == EngineKind::kLocal || role.program.command.empty()) return false;
  if (plan_->one_job) return true;
  if (job().unsupervised) return false;
  const auto ranges = role.failures.Ranges();
  // No field of a Kubernetes Job makes a failure a success.
  if (on_kubernetes() && std::any_of(ranges.begin(), ranges.end(), [](const FailureRule& r) {
        return r.action == FailureAction::kSucceed;
      })) {
    return true;
  }
  // A capstan ends its servers itself, and other programs' servers never end: then all tasks
  // have a supervisor, since the leader's tells the others'.
  return std::any_of(job().roles.begin(), job().roles.end(), [](const RoleSpec& other) {
    return (other.role == JobRole::kPs || other.role == JobRole::kEvaluator) &&
           !IsCapstanTrain(other.program);
  });
}

void Planner::CollectHosts() {
  for (const RolePlan& role : plan_->roles) {
    for (const TaskPlan& task : role.tasks) {
      if (task.role == JobRole::kChief) hosts_.chief = task.address;
      if (task.role == JobRole::kWorker) hosts_.workers.push_back(task.address);
      if (task.role == JobRole::kPs) hosts_.ps.push_back(task.address);
    }
  }
}

// Dense or sparse TF_CONFIG.
Status Planner::ChooseForm() {
  plan_->sparse = job().dynamic_workers;
  if (plan_->sparse || !is_cluster()) return OkStatus();
  const TaskPlan& longest = plan_->roles.front().tasks.back();
  const size_t size_bytes =
      TfConfigText(hosts_, PlaceOf(plan_->roles.front(), longest), false).size() + 32;
  if (size_bytes < kMaxStringBytes) return OkStatus();
  const bool all_capstan = std::all_of(plan_->roles.begin(), plan_->roles.end(),
                                       [](const RolePlan& role) { return role.is_capstan; });
  if (!all_capstan || plan_->one_job) {
    return Error(
        "TF_CONFIG of {} tasks would have {} bytes, the kernel takes {}: wanted fewer tasks or "
        "shorter names{}",
        job().task_count(), size_bytes, kMaxStringBytes,
        job().is_manifest ? ", or enableDynamicWorker, whose form is sparse" : "");
  }
  plan_->sparse = true;
  plan_->warnings.push_back(fmt::format(
      "TF_CONFIG of {} tasks would have {} bytes: each task gets the sparse form, with only whom "
      "it needs",
      job().task_count(), size_bytes));
  return OkStatus();
}

TaskPlace Planner::PlaceOf(const RolePlan& role, const TaskPlan& task) const {
  return {.role = std::string(NameOf(role.spec.role)),
          .index = fmt::format("{}", task.index),
          .address = task.address,
          .port = task.port};
}

// The place of any task of the role, as the one template of a Kubernetes Job needs it.
TaskPlace Planner::SharedPlaceOf(const RolePlan& role) const {
  TaskPlace place{.role = std::string(NameOf(role.spec.role)),
                  .index = kIndexReference,
                  .port = role.spec.port};
  if (plan_->one_job) {
    place.role = "{job_name}";
    place.index = "{task_index}";
  }
  const std::string name = plan_->one_job ? fmt::format("{}-{}", job().name, kIndexReference)
                                          : fmt::format("{}-{}", role.job_name, kIndexReference);
  int port = 0;
  place.address = *AddressOf(name, role.spec.port, &port);
  return place;
}

Status Planner::FillWords(RolePlan* role) {
  if (!on_kubernetes()) {
    for (TaskPlan& task : role->tasks) {
      RETURN_IF_ERROR(WordsFor(*role, PlaceOf(*role, task), &task));
      RETURN_IF_ERROR(CheckStrings(task));
    }
    return OkStatus();
  }
  TaskPlan shared{.name = role->job_name};
  RETURN_IF_ERROR(WordsFor(*role, SharedPlaceOf(*role), &shared));
  RETURN_IF_ERROR(CheckStrings(shared));
  role->command = std::move(shared.command);
  role->args = std::move(shared.args);
  role->env = std::move(shared.env);
  return OkStatus();
}

Status Planner::WordsFor(const RolePlan& role, const TaskPlace& place, TaskPlan* task) const {
  const ProgramSpec& program = role.spec.program;
  const bool local = plan_->engine == EngineKind::kLocal;
  const PathMap paths = local ? LocalPaths(job(), program) : PathMap();
  task->working_dir = MapPaths(program.working_dir, paths);
  if (local) task->working_dir = ResolvedFolder(job(), task->working_dir);
  task->env.push_back({.name = "CAPSTAN_JOB", .value = job().name});
  if (!plan_->one_job) task->env.push_back({.name = "CAPSTAN_ROLE", .value = place.role});
  if (is_cluster()) {
    task->env.push_back({.name = "TF_CONFIG", .value = TfConfigText(hosts_, place, plan_->sparse)});
  }
  // What the file says means the same on all engines; a manifest's words are Kubernetes'.
  const auto meaning = [&](const std::string& text) {
    if (on_kubernetes()) return job().is_manifest ? text : EscapeReferences(text);
    return job().is_manifest ? ExpandReferences(text, task->env) : text;
  };
  for (const EnvVar& var : program.env) {
    EnvVar made = var;
    made.value = MapPaths(meaning(var.value), paths);
    task->env.push_back(std::move(made));
  }
  const auto put = [&](const std::vector<std::string>& from, std::vector<std::string>* to) {
    for (const std::string& word : from) {
      std::string made = meaning(word);
      if (!job().is_manifest) {
        ASSIGN_OR_RETURN(made, ReplacePlaceholders(made, hosts_, place));
      }
      to->push_back(MapPaths(made, paths));
    }
    return OkStatus();
  };
  RETURN_IF_ERROR(put(program.command, &task->command));
  RETURN_IF_ERROR(put(program.args, &task->args));
  if (role.is_capstan && is_cluster()) {
    std::vector<std::string>* words = task->args.empty() ? &task->command : &task->args;
    // Tasks that wait for others give up their places by themselves: nobody looks after the job.
    if (job().start_timeout_s > 0 && !HasFlag(*words, "--start_timeout")) {
      words->push_back(fmt::format("--start_timeout={}", job().start_timeout_s));
    }
    AddSecurityFlags(words);
  }
  if (role.supervised) Supervise(role, place, task);
  return OkStatus();
}

void Planner::AddSecurityFlags(std::vector<std::string>* words) const {
  for (const char* flag : {"--auth_token_file", "--tls_cert", "--insecure"}) {
    if (HasFlag(*words, flag)) return;
  }
  const SecuritySpec& security = job().security;
  const bool local = plan_->engine == EngineKind::kLocal;
  if (!security.tls_secret.empty()) {
    const std::string folder = local ? ResolvedFolder(job(), security.tls_secret) : kTlsPath;
    words->push_back("--tls_cert=" + folder + "/tls.crt");
    words->push_back("--tls_key=" + folder + "/tls.key");
    words->push_back("--tls_ca=" + folder + "/ca.crt");
  }
  if (plan_->has_token) {
    words->push_back("--auth_token_file=" +
                     (local ? ResolvedFolder(job(), security.token_file) : kTokenPath));
  }
  // Neither, beyond loopback: the file says that the network is trusted.
  if (!plan_->has_token && security.tls_secret.empty() && !local) words->push_back("--insecure");
}

void Planner::Supervise(const RolePlan& role, const TaskPlace& place, TaskPlan* task) const {
  std::vector<std::string> words = {kSupervisorPath, "--job=" + job().name};
  std::string tasks;
  for (const RolePlan& other : plan_->roles) {
    tasks += fmt::format("{}{}:{}", tasks.empty() ? "" : ",", NameOf(other.spec.role),
                         other.tasks.size());
  }
  words.push_back("--tasks=" + tasks);
  if (plan_->one_job) {
    words.push_back(fmt::format("--index={}", kIndexReference));
  } else {
    words.push_back("--role=" + place.role);
    words.push_back("--index=" + place.index);
  }
  std::string leaders;
  for (const TaskPlan* other : plan_->tasks()) {
    if (other->leads) leaders += (leaders.empty() ? "" : ",") + HostOf(other->address);
  }
  words.push_back("--leaders=" + leaders);
  // What is not started again ends the others; a worker that may be lost ends nobody.
  std::string codes, final_codes;
  for (const FailureRule& range : role.spec.failures.Ranges()) {
    std::string text = fmt::format("{}", range.first);
    if (range.last != range.first) text += fmt::format("-{}", range.last);
    if (range.action == FailureAction::kSucceed) {
      codes += fmt::format("{}{}:0", codes.empty() ? "" : ",", text);
    } else if (range.action == FailureAction::kFailJob) {
      final_codes += (final_codes.empty() ? "" : ",") + text;
    }
  }
  if (!codes.empty()) words.push_back("--codes=" + codes);
  if (final_codes != "1-127") words.push_back("--final_codes=" + final_codes);
  if (role.spec.stop_timeout_s != 60) {
    words.push_back(fmt::format("--stop_timeout={}", role.spec.stop_timeout_s));
  }
  words.push_back(plan_->has_token ? std::string("--token_file=") + kTokenPath : "--insecure");
  words.push_back("--");
  words.insert(words.end(), task->command.begin(), task->command.end());
  words.insert(words.end(), task->args.begin(), task->args.end());
  task->command = std::move(words);
  task->args.clear();
}

// Layout L1 has one pod template: names what keeps the roles from sharing it.
Status CheckAlike(const JobSpec& job) {
  if (job.unsupervised) {
    return Error("layout L1 wants capstan-task, which tells each task its role: not unsupervised");
  }
  const RoleSpec& first = job.roles.front();
  for (const RoleSpec& role : job.roles) {
    const ProgramSpec& a = first.program;
    const ProgramSpec& b = role.program;
    const char* differs = a.image != b.image              ? "image"
                          : a.command != b.command        ? "command"
                          : a.args != b.args              ? "args"
                          : a.env != b.env                ? "env"
                          : !(a.resources == b.resources) ? "cpu, memory or gpus"
                          : a.volumes != b.volumes        ? "volumes"
                          : a != b                  ? "pod, ports, node_selector or tolerations"
                          : role.port != first.port ? "port"
                          : !(role.failures == first.failures)          ? "retries"
                          : role.stop_timeout_s != first.stop_timeout_s ? "stop_timeout"
                          : role.min_available != 0                     ? "min_available"
                                                                        : nullptr;
    if (differs != nullptr) {
      return Error("layout L1 has one template for all tasks, {} and {} differ in {}: use L2",
                   NameOf(first.role), NameOf(role.role), differs);
    }
    if (b.command.empty()) {
      return Error("{}: command is missing, which layout L1 wants", NameOf(role.role));
    }
  }
  return OkStatus();
}

}  // namespace

std::string_view NameOf(EngineKind kind) {
  switch (kind) {
    case EngineKind::kLocal:
      return "local";
    case EngineKind::kDocker:
      return "docker";
    case EngineKind::kKubernetes:
      return "kubernetes";
  }
  return "unknown";
}

StatusOr<EngineKind> ParseEngineKind(std::string_view word) {
  const std::vector<std::string> known = {"local", "docker", "kubernetes"};
  for (const EngineKind kind : {EngineKind::kLocal, EngineKind::kDocker, EngineKind::kKubernetes}) {
    if (NameOf(kind) == word) return kind;
  }
  return Error("unknown '{}', wanted one of {}{}", word, fmt::join(known, ", "),
               NearestHint(word, known));
}

const RolePlan* Plan::Find(JobRole role) const {
  for (const RolePlan& plan : roles) {
    if (plan.spec.role == role) return &plan;
  }
  return nullptr;
}

std::vector<const TaskPlan*> Plan::tasks() const {
  std::vector<const TaskPlan*> tasks;
  for (const RolePlan& role : roles) {
    for (const TaskPlan& task : role.tasks) tasks.push_back(&task);
  }
  return tasks;
}

StatusOr<Plan> MakePlan(const JobSpec& spec, const PlanOptions& options) {
  Plan plan{.spec = spec, .engine = options.engine, .one_job = options.one_job};
  plan.spec.allow_ephemeral |= options.allow_ephemeral;
  plan.spec.unsupervised |= options.unsupervised;
  plan.namespace_name = !options.namespace_name.empty() ? options.namespace_name
                        : !spec.namespace_name.empty()  ? spec.namespace_name
                                                        : options.default_namespace;
  plan.supervisor_image =
      spec.supervisor_image.empty() ? options.supervisor_image : spec.supervisor_image;
  plan.warnings = spec.warnings;
  RETURN_IF_ERROR(CheckJob(plan.spec, options.engine, &plan.warnings));
  RETURN_IF_ERROR(CheckObjectName("namespace", plan.namespace_name));
  if (plan.one_job && options.engine != EngineKind::kKubernetes) {
    return Error("layout L1 is Kubernetes' own");
  }
  if (plan.one_job && !spec.roles.empty()) RETURN_IF_ERROR(CheckAlike(plan.spec));
  if (spec.gang == GangRoute::kKueue && spec.roles.size() > 1 && !plan.one_job &&
      options.engine == EngineKind::kKubernetes) {
    return Error("gang kueue admits each Job by itself, of which this one has {}: use layout L1",
                 spec.roles.size());
  }
  // Loopback needs no token; one is only used where the file names it.
  plan.has_token = spec.security.token && spec.task_count() > 1 &&
                   (options.engine != EngineKind::kLocal || !spec.security.token_file.empty());
  RETURN_IF_ERROR(Planner(options, &plan).Make());
  return plan;
}

}  // namespace capstan
