// Which engine a command talks to.
#pragma once

#include <memory>
#include <string>

#include "base/status.h"
#include "cli/flags.h"
#include "cli/kubernetes_choice.h"
#include "launch/engine.h"

namespace capstan {

struct EngineFlags {
  std::string engine;          // holds the command's default when declared
  std::string namespace_name;  // Kubernetes
  KubernetesFlags cluster;     // but for the namespace
};

// For commands that name a job; those that have its file declare JobFlags.
void DeclareEngineFlags(FlagSet* flags, EngineFlags* values);

// Each call gives an engine of its own, which one thread may use. A wrong --engine is a usage error.
StatusOr<std::unique_ptr<Engine>> MakeEngine(const EngineFlags& values);

}  // namespace capstan
