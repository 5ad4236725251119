#include "cli/kubernetes_choice.h"

#include <cstdio>
#include <cstdlib>
#include <thread>

#include "launch/kubernetes_engine.h"

namespace capstan {
namespace {

std::string Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? "" : value;
}

KubeconfigOptions OptionsOf(const KubernetesFlags& flags) {
  return {.path = flags.kubeconfig,
          .context = flags.context,
          .namespace_name = flags.namespace_name,
          .environment = Environment};
}

}  // namespace

void DeclareKubernetesFlags(FlagSet* f, KubernetesFlags* v) {
  f->Add(
      "kubeconfig", &v->kubeconfig,
      "file that names clusters and users; empty: KUBECONFIG's list, ~/.kube/config, or the pod's "
      "own account");
  f->Add("context", &v->context, "of the kubeconfig; empty: the current one");
}

std::unique_ptr<Engine> MakeKubernetesEngine(const KubernetesFlags& flags) {
  // Both have no state.
  static const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  static SystemClock clock;
  KubernetesEngineOptions options{.kubeconfig = OptionsOf(flags), .fs = fs.get(), .clock = &clock};
  options.sleep = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
  options.notice = [](const std::string& sentence) {
    std::fprintf(stderr, "capstan: %s\n", sentence.c_str());
  };
  return NewKubernetesEngine(std::move(options));
}

StatusOr<std::string> ContextNamespace(const KubernetesFlags& flags) {
  const auto fs = NewLocalFileSystem();
  ASSIGN_OR_RETURN(const KubeConnection connection, LoadKubeconfig(*fs, OptionsOf(flags)));
  return connection.namespace_name;
}

}  // namespace capstan
