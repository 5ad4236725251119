#include "cli/job_flags.h"

#include "base/nearest.h"
#include "launch/job_file.h"

namespace capstan {

void DeclareJobFlags(FlagSet* f, JobFlags* v) {
  f->Group("job");
  f->Add("engine", &v->engine, "where the job runs: local, docker or kubernetes");
  f->Add("allow_ephemeral", &v->allow_ephemeral,
         "checkpoints may lie in folders that go with their task");
  f->Add("unsupervised", &v->unsupervised,
         "programs run without capstan-task: servers of theirs may never end");
  f->Add("supervisor_image", &v->supervisor_image, "image with /capstan-task");
  f->Group("Kubernetes");
  f->Add("namespace", &v->namespace_name, "of the job; empty: the file's, or the context's");
  f->Add("layout", &v->layout,
         "L2: a Job for each role; L1: one Job for all tasks, which must be alike");
  f->Add("gang", &v->gang,
         "who places all tasks or none: none, podgroup, coscheduling, volcano, kueue; empty: the "
         "file's");
  DeclareKubernetesFlags(f, &v->cluster);
}

StatusOr<Plan> PlanFromFlags(FileSystem& fs, const JobFlags& v, const std::string& path,
                             std::function<StatusOr<int>()> choose_port) {
  PlanOptions options;
  const StatusOr<EngineKind> engine = ParseEngineKind(v.engine);
  if (!engine.ok()) return UsageError(Annotate(engine.status(), "flag --engine"));
  options.engine = *engine;
  if (v.layout != "L1" && v.layout != "L2") {
    return UsageError(Error("flag --layout: unknown '{}', wanted L1 or L2", v.layout));
  }
  options.one_job = v.layout == "L1" && options.engine == EngineKind::kKubernetes;
  options.namespace_name = v.namespace_name;
  if (options.engine == EngineKind::kKubernetes) {
    // Without a cluster, jobs can still be rendered.
    options.default_namespace = ContextNamespace(v.cluster).value_or("default");
  }
  options.supervisor_image = v.supervisor_image;
  options.allow_ephemeral = v.allow_ephemeral;
  options.unsupervised = v.unsupervised;
  options.choose_port = std::move(choose_port);
  ASSIGN_OR_RETURN(JobSpec job, ReadJob(fs, path));
  if (!v.gang.empty()) {
    const StatusOr<GangRoute> gang = ParseGangRoute(v.gang);
    if (!gang.ok()) return UsageError(Annotate(gang.status(), "flag --gang"));
    job.gang = *gang;
  }
  StatusOr<Plan> plan = MakePlan(job, options);
  if (!plan.ok()) return Annotate(plan.status(), path);
  return plan;
}

StatusOr<KubernetesTarget> TargetFromFlags(const JobFlags& v) {
  KubernetesTarget target;
  const StatusOr<int> minor = ParseKubernetesMinor(v.kubernetes_version);
  if (!minor.ok()) return UsageError(Annotate(minor.status(), "flag --kubernetes_version"));
  target.minor = *minor;
  return target;
}

}  // namespace capstan
