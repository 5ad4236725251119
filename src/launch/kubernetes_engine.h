// Jobs on Kubernetes, with nothing installed in the cluster: all that a job needs after its submit is
// done by Kubernetes' own controllers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "launch/engine.h"
#include "net/kubeconfig.h"

namespace capstan {

struct KubernetesEngineOptions {
  KubeconfigOptions kubeconfig;
  FileSystem* fs = nullptr;  // both must outlive the engine
  Clock* clock = nullptr;
  std::function<void(std::chrono::milliseconds)> sleep;
  // Sentences for people: what is missing in the cluster, what is waited for.
  std::function<void(const std::string&)> notice = [](const std::string&) {};
  bool dry_run = false;  // Submit asks the server and writes nothing
  // How long Delete waits for tasks to end.
  std::chrono::seconds delete_patience{180};
};

// Connects at the first call. Verbs other than Submit look in the kubeconfig's namespace.
std::unique_ptr<Engine> NewKubernetesEngine(KubernetesEngineOptions options);

}  // namespace capstan
