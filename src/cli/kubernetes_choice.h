// The Kubernetes engine as this process's environment has it.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cli/flags.h"
#include "launch/engine.h"

namespace capstan {

struct KubernetesFlags {
  std::string kubeconfig;      // "": KUBECONFIG's list, ~/.kube/config, or the pod's own
  std::string context;         // "": the current one
  std::string namespace_name;  // "": the context's
};

// --kubeconfig and --context; commands declare --namespace themselves.
void DeclareKubernetesFlags(FlagSet* flags, KubernetesFlags* values);

// Notices go to standard error.
std::unique_ptr<Engine> MakeKubernetesEngine(const KubernetesFlags& flags);

// Where jobs go when neither a flag nor the file says: for PlanOptions::default_namespace, since
// addresses of tasks have it in them.
StatusOr<std::string> ContextNamespace(const KubernetesFlags& flags);

}  // namespace capstan
