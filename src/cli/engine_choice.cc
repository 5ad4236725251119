#include "cli/engine_choice.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

#include "base/clock.h"
#include "base/file_system.h"
#include "launch/local_engine.h"

namespace capstan {
namespace {

std::string EnvOr(const char* name, const std::string& otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : value;
}

// This program's own file.
std::string OwnPath() {
  char path[PATH_MAX];
  const ssize_t bytes = ::readlink("/proc/self/exe", path, sizeof(path));
  return bytes <= 0 ? "capstan" : std::string(path, static_cast<size_t>(bytes));
}

// What CUDA_VISIBLE_DEVICES leaves us, else all of the machine.
std::vector<std::string> VisibleGpus() {
  std::vector<std::string> gpus;
  if (const char* visible = std::getenv("CUDA_VISIBLE_DEVICES"); visible != nullptr) {
    const std::string text = visible;
    size_t start = 0;
    while (start < text.size()) {
      const size_t end = std::min(text.find(',', start), text.size());
      if (end > start) gpus.push_back(text.substr(start, end - start));
      start = end + 1;
    }
    return gpus;
  }
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  while (fs->Exists(fmt::format("/dev/nvidia{}", gpus.size()))) {
    gpus.push_back(fmt::format("{}", gpus.size()));
  }
  return gpus;
}

std::unique_ptr<Engine> MakeLocalEngine() {
  static SystemClock clock;  // has no state
  return std::make_unique<LocalEngine>(
      LocalJobOptions{.run_root = RunRoot(EnvOr("XDG_RUNTIME_DIR", "")),
                      .capstan_path = OwnPath(),
                      .gpus = VisibleGpus(),
                      .clock = &clock});
}

}  // namespace

void DeclareEngineFlags(FlagSet* f, EngineFlags* v) {
  f->Group("engine");
  f->Add("engine", &v->engine, "where the job runs: local, docker or kubernetes");
  f->Add("namespace", &v->namespace_name, "Kubernetes: of the job; empty: the context's");
  DeclareKubernetesFlags(f, &v->cluster);
}

StatusOr<std::unique_ptr<Engine>> MakeEngine(const EngineFlags& v) {
  const StatusOr<EngineKind> kind = ParseEngineKind(v.engine);
  if (!kind.ok()) return UsageError(Annotate(kind.status(), "flag --engine"));
  switch (*kind) {
    case EngineKind::kLocal:
      return MakeLocalEngine();
    case EngineKind::kKubernetes: {
      KubernetesFlags cluster = v.cluster;
      cluster.namespace_name = v.namespace_name;
      return MakeKubernetesEngine(cluster);
    }
    case EngineKind::kDocker:
      break;
  }
  return MakeStatus(
      absl::StatusCode::kUnimplemented,
      fmt::format("engine {} is not in this capstan: wanted --engine=local or kubernetes; `capstan "
                  "render` shows what would be started",
                  NameOf(*kind)));
}

}  // namespace capstan
