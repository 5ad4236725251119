#include "launch/job_file_keys.h"

namespace capstan {
namespace {

constexpr int kMaxTasks = 65'536;
constexpr int kMaxPort = 65'535;

// A volume as the file names it: one of five sources, and a folder for runs without Kubernetes.
struct VolumeKeys {
  VolumeSpec spec;
  std::string claim, host_path, config_map, secret;
  bool empty = false;
};

void DeclareVolume(KeyMap* m, VolumeKeys* v) {
  m->Text("mount", &v->spec.mount_path, "where the task sees it, an absolute path");
  m->Text("name", &v->spec.name, "its name in the pod; made from its source if not given");
  m->Text("claim", &v->claim,
          "PersistentVolumeClaim (Docker, without a folder: a volume of this name)");
  m->Text("host_path", &v->host_path, "folder of the machine that the task runs on");
  m->Text("config_map", &v->config_map, "ConfigMap, a file for each of its keys");
  m->Text("secret", &v->secret, "Secret, a file for each of its keys");
  m->Switch("empty", &v->empty, "an empty folder that goes with the task");
  m->Text("folder", &v->spec.folder,
          "local and Docker runs: this folder instead, relative to the file");
  m->Text("sub_path", &v->spec.sub_path, "the folder of the volume that is mounted, not all of it");
  m->Quantity("size", &v->spec.size_limit, "of an empty one, at most");
  m->Switch("memory", &v->spec.memory, "an empty one is kept in memory");
  m->Switch("read_only", &v->spec.read_only, "the task cannot write there");
}

Status FinishVolume(const YamlNode& node, VolumeKeys* v) {
  using Kind = VolumeSpec::Kind;
  int sources = 0;
  const auto take = [&](Kind kind, const std::string& source) {
    if (source.empty()) return;
    ++sources;
    v->spec.kind = kind;
    v->spec.source = source;
  };
  take(Kind::kClaim, v->claim);
  take(Kind::kHostPath, v->host_path);
  take(Kind::kConfigMap, v->config_map);
  take(Kind::kSecret, v->secret);
  if (v->empty) take(Kind::kEmpty, "empty");
  if (sources > 1 || (sources == 0 && v->spec.folder.empty())) {
    return node.ErrorHere(fmt::format(
        "a volume of {} sources, wanted one of claim, host_path, config_map, secret, empty (and "
        "folder, for local runs)",
        sources));
  }
  if (v->spec.kind == Kind::kEmpty) v->spec.source.clear();
  if (!v->spec.mount_path.starts_with('/')) {
    return node.ErrorHere(
        fmt::format("mount is '{}', wanted an absolute path", v->spec.mount_path));
  }
  if (v->spec.kind != Kind::kEmpty && (v->spec.memory || !v->spec.size_limit.empty())) {
    return node.ErrorHere("size and memory are for an empty volume");
  }
  return OkStatus();
}

void DeclareVolumes(KeyMap* m, std::vector<VolumeSpec>* volumes) {
  m->List<VolumeKeys>(
      "volumes", DeclareVolume,
      [volumes](const YamlNode& node, VolumeKeys v) -> Status {
        RETURN_IF_ERROR(FinishVolume(node, &v));
        volumes->push_back(std::move(v.spec));
        return OkStatus();
      },
      "folders that the tasks see");
}

void DeclareToleration(KeyMap* m, Toleration* t) {
  m->Text("key", &t->key, "of the node's taint; empty: any");
  m->Text("operator", &t->op, "Equal or Exists");
  m->Text("value", &t->value, "of the taint");
  m->Text("effect", &t->effect, "NoSchedule, PreferNoSchedule or NoExecute; empty: any");
}

// What the top of the file and each role have in common.
void DeclareProgram(KeyMap* m, ProgramSpec* p) {
  m->Text("image", &p->image, "container image; local runs need none");
  m->Command("command", &p->command,
             "the program and its words: a list, or a line that is split as a shell does, without "
             "expansions; {ps_hosts}, {worker_hosts}, {chief_host}, {job_name}, {task_index} and "
             "{port} are replaced");
  m->Env("env", &p->env, "environment; a role's is added to the file's");
  m->Text("working_dir", &p->working_dir, "folder that the program starts in; empty: the image's");
  m->NumberMap("ports", &p->ports, 1, kMaxPort, "further ports of the container, by name");
  m->Quantity("cpu", &p->resources.cpu, "processors that the task needs, also its limit");
  m->Quantity("cpu_limit", &p->resources.cpu_limit, "a limit other than what it needs");
  m->Quantity("memory", &p->resources.memory, "memory that the task needs, also its limit");
  m->Quantity("memory_limit", &p->resources.memory_limit, "a limit other than what it needs");
  m->List<Toleration>(
      "tolerations", DeclareToleration,
      [p](const YamlNode&, Toleration toleration) {
        p->tolerations.push_back(std::move(toleration));
        return OkStatus();
      },
      "taints of nodes that are borne");
  m->TextMap("node_selector", &p->node_selector, "labels that the task's node must have");
  DeclareVolumes(m, &p->volumes);
  m->AnyMap("pod", &p->pod,
            "any field of Kubernetes' PodTemplateSpec {metadata, spec}, put beneath what the file "
            "makes itself; the task's container is called task; a field that both set to different "
            "values is an error that names it");
}

void DeclareGpus(KeyMap* m, ResourceSpec* r) {
  m->Number("gpus", &r->gpus, 0, 1024, "GPUs that each task gets");
  m->Text("gpu_resource", &r->gpu_resource, "Kubernetes' name of them, also of a MIG part");
  m->Text("gpu_model", &r->gpu_model, "as the node's label nvidia.com/gpu.product");
  m->Quantity("gpu_memory", &r->gpu_memory, "that each GPU has at least");
}

void DeclareRetries(KeyMap* m, FailureTable* failures, bool* given) {
  KeyMap* retries = m->Map("retries", given, "what a task's end means for the job");
  retries->Number("limit", &failures->retry_limit, 0, 1'000'000,
                  "restarts of one task without progress in between (Kubernetes: of all)");
  retries->Codes("codes", &failures->rules,
                 "exit codes (137, or a range 1-127) to retry, fail (the job), give_up (the task; "
                 "the job goes on) or succeed; first match counts; the others are TFJob's: 1-127 "
                 "fail, 128-255 retry");
  retries->Word<FailureAction>(
      "at_limit", &failures->at_limit,
      {{"fail", FailureAction::kFailJob}, {"give_up", FailureAction::kGiveUp}},
      "when the limit is used up: the job fails, or goes on without the "
      "task");
}

void DeclareRole(KeyMap* keys, const char* name, RoleKeys* role, const char* sentence) {
  KeyMap* m = keys->Map(name, &role->given, sentence);
  RoleSpec& spec = role->spec;
  m->Number("replicas", &spec.replicas, 0, kMaxTasks, "tasks of this role");
  spec.port = 0;
  m->Number("port", &spec.port, 0, kMaxPort, "by which the other tasks call it; 0: the file's");
  DeclareProgram(m, &spec.program);
  DeclareGpus(m, &spec.program.resources);
  DeclareRetries(m, &spec.failures, &role->retries_given);
  m->Duration("stop_timeout", &spec.stop_timeout_s, "from the request to end to the kill");
  m->Number("min_available", &spec.min_available, 0, kMaxTasks,
            "tasks that stay while nodes are drained (a PodDisruptionBudget); 0: a drain is free, "
            "tasks come back elsewhere");
}

void DeclareServe(KeyMap* keys, JobFileKeys* file) {
  KeyMap* m = keys->Map("serve", &file->serve_given,
                        "a server of a model: Deployment, Service, autoscaler, disruption budget");
  ServeSpec& s = file->serve;
  m->Text("model", &s.model_path,
          "folder of the model's numbered versions, in a volume or in the image");
  m->Text("model_name", &s.model_name, "by which clients call it; empty: the job's name");
  DeclareProgram(m, &s.program);
  DeclareGpus(m, &s.program.resources);
  m->Number("replicas", &s.replicas, 0, kMaxTasks, "servers");
  m->Number("port", &s.port, 1, kMaxPort, "of gRPC");
  m->Number("rest_port", &s.rest_port, 1, kMaxPort, "of HTTP");
  m->Text("ready_path", &s.ready_path,
          "HTTP path on rest_port that answers 200 when the model can be asked; empty: the "
          "model's metadata");
  KeyMap* autoscale = m->Map("autoscale", nullptr, "a HorizontalPodAutoscaler");
  autoscale->Number("min", &s.autoscale_min, 1, kMaxTasks, "servers at least");
  autoscale->Number("max", &s.autoscale_max, 0, kMaxTasks, "servers at most; 0: no autoscaler");
  autoscale->Number("cpu", &s.autoscale_cpu_percent, 1, 10'000,
                    "percent of the asked processors that servers are held at");
  m->Word<ServiceKind>("service", &s.service,
                       {{"ClusterIP", ServiceKind::kClusterIp},
                        {"LoadBalancer", ServiceKind::kLoadBalancer},
                        {"headless", ServiceKind::kHeadless}},
                       "the Service's kind; headless lets gRPC clients balance by themselves");
  m->Duration("drain", &s.drain_s, "from leaving the Service to the request to end");
  m->Duration("stop_timeout", &s.stop_timeout_s, "of the whole end, drain included");
  m->Duration("start_timeout", &s.start_timeout_s, "until the model must be ready");
  m->Number("max_surge", &s.max_surge, 0, kMaxTasks, "servers more during a rolling update");
  m->Number("max_unavailable", &s.max_unavailable, 0, kMaxTasks,
            "servers fewer during a rolling update (1, with max_surge 0, where no GPU is spare)");
  m->Number("disruption_budget", &s.max_disrupted, 0, kMaxTasks,
            "servers that a drain may take at once; 0: no budget is made");
  m->Text("gateway", &s.gateway, "Gateway (name or namespace/name) that a GRPCRoute is made for");
  m->Text("hostname", &s.hostname, "of the route; empty: any");
  m->NumberMap("weights", &s.route_weights, 0, 1'000'000,
               "Services of the route and their weights; empty: all to this one");
}

void DeclareTop(KeyMap* m, JobFileKeys* file) {
  JobSpec& job = file->job;
  m->Text("name", &job.name, "of the job: lower case letters, digits and -, a letter first");
  DeclareProgram(m, &file->program);
  m->Number("port", &file->port, 1, kMaxPort,
            "by which tasks call each other; local runs choose free ones");
  DeclareRole(m, "chief", &file->chief,
              "a chief of its own, replicas at most 1; without it worker 0 leads");
  DeclareRole(m, "worker", &file->worker, "workers");
  DeclareRole(m, "ps", &file->ps, "parameter servers; they end with 0 when the job is done");
  DeclareRole(m, "evaluator", &file->evaluator, "an evaluator of checkpoints");
}

void DeclareRun(KeyMap* m, JobFileKeys* file) {
  JobSpec& job = file->job;
  m->Word<DoneWhen>("done_when", &job.done_when,
                    {{"chief", DoneWhen::kChief}, {"all_workers", DoneWhen::kAllWorkers}},
                    "whose end with 0 ends the job");
  DeclareRetries(m, &file->failures, nullptr);
  m->Duration("deadline", &job.deadline_s, "the job fails when it has run for so long");
  m->Duration("start_timeout", &job.start_timeout_s,
              "when not all tasks run by then, the job fails and lets go of what it holds");
  m->Duration("time_to_live", &job.time_to_live_s,
              "after its end the job is deleted with its logs; not given: it stays");
  m->Word<GangRoute>("gang", &job.gang,
                     {{"auto", GangRoute::kAuto},
                      {"none", GangRoute::kNone},
                      {"podgroup", GangRoute::kPodGroup},
                      {"coscheduling", GangRoute::kCoscheduling},
                      {"volcano", GangRoute::kVolcano},
                      {"kueue", GangRoute::kKueue}},
                     "who places all tasks or none; auto: what the cluster has");
  m->Text("queue", &job.queue, "of Kueue or Volcano");
  m->Text("priority_class", &job.priority_class, "Kubernetes' PriorityClass of the tasks");
}

void DeclareCluster(KeyMap* m, JobFileKeys* file) {
  JobSpec& job = file->job;
  m->Text("namespace", &job.namespace_name, "Kubernetes namespace; a flag wins over it");
  m->Text("cluster_domain", &job.cluster_domain,
          "put behind .svc in addresses; empty: the search list of the pods finds it");
  m->Text("service_account", &job.service_account,
          "whose token the tasks see; empty: none is mounted");
  m->Text("image_pull_policy", &job.image_pull_policy,
          "Always, IfNotPresent or Never; empty: Kubernetes' rule");
  m->Text("supervisor_image", &job.supervisor_image,
          "image with /capstan-task, for programs that are not capstan");
  m->Switch("allow_ephemeral", &job.allow_ephemeral,
            "checkpoints may lie in folders that go with their task");
  m->Switch("unsupervised", &job.unsupervised,
            "programs run without capstan-task: whoever wrote them ends the servers");
  KeyMap* security = m->Map("security", nullptr, "between tasks");
  security->Switch("token", &job.security.token, "tasks share a secret token");
  security->Text("token_file", &job.security.token_file,
                 "file with it, relative to the job file; empty: made for each submit");
  security->Text("tls_secret", &job.security.tls_secret,
                 "Secret with tls.crt, tls.key and ca.crt: mutual TLS (local: a folder)");
  KeyMap* board = m->Map("tensorboard", &file->tensorboard_given,
                         "TensorBoard beside the job (Kubernetes), on the same volumes");
  board->Text("image", &file->tensorboard.image, "with a tensorboard in it");
  board->Text("log_dir", &file->tensorboard.log_dir, "folder of the events");
  board->Number("port", &file->tensorboard.port, 1, kMaxPort, "of its page");
}

}  // namespace

void DeclareJobFile(KeyMap* keys, JobFileKeys* file) {
  DeclareTop(keys, file);
  DeclareRun(keys, file);
  DeclareCluster(keys, file);
  DeclareServe(keys, file);
}

}  // namespace capstan
