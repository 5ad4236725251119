// `capstan render FILE`: exactly what `capstan submit` applies, or the tasks of a local run.
#include <cstdio>

#include "base/exit_code.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/job_flags.h"
#include "launch/kubernetes_objects.h"

namespace capstan {
namespace {

// Stand for ports that a run chooses; the same at each call.
constexpr int kFirstShownPort = 20'000;

int Render(FileSystem& fs, const JobFlags& values, const std::string& path, bool json) {
  int next_port = kFirstShownPort;
  const StatusOr<Plan> plan =
      PlanFromFlags(fs, values, path, [&next_port]() -> StatusOr<int> { return next_port++; });
  if (!plan.ok()) return Fail("render", plan.status());
  if (plan->engine != EngineKind::kKubernetes) {
    std::fputs(DescribePlan(*plan).c_str(), stdout);
    return kExitOk;
  }
  const StatusOr<KubernetesTarget> target = TargetFromFlags(values);
  if (!target.ok()) return Fail("render", target.status());
  std::vector<std::string> warnings = plan->warnings;
  const StatusOr<std::vector<KubernetesObject>> objects = RenderObjects(*plan, *target, &warnings);
  if (!objects.ok()) return Fail("render", Annotate(objects.status(), path));
  for (const std::string& warning : warnings) {
    std::fprintf(stderr, "capstan render: warning: %s\n", warning.c_str());
  }
  std::fputs((json ? ObjectsAsJson(*objects) : ObjectsAsYaml(*objects)).c_str(), stdout);
  return kExitOk;
}

}  // namespace

int RenderCommand(const Args& args) {
  FlagSet flags("render", "what a job file becomes: Kubernetes objects, or the tasks of a run");
  JobFlags values{.engine = "kubernetes"};
  std::vector<std::string> paths;
  bool json = false;
  flags.AddWords("FILE", &paths, "a job file, or a TFJob manifest");
  DeclareJobFlags(&flags, &values);
  flags.Add("kubernetes_version", &values.kubernetes_version,
            "of the cluster, which decides what its objects can say");
  flags.Add("json", &json, "one JSON list instead of YAML documents");
  int exit_code = kExitOk;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  if (paths.size() != 1) {
    return FailUsage("render", Error("{} files, wanted one job file", paths.size()));
  }
  const auto fs = NewLocalFileSystem();
  return Render(*fs, values, paths[0], json);
}

}  // namespace capstan
