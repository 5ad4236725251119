// One task of a cluster, whatever its role: listens, meets its peers, works, ends.
#pragma once

#include <memory>
#include <optional>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "model/model_spec.h"
#include "net/link_security.h"
#include "train/cluster_options.h"
#include "train/session.h"

namespace capstan {

struct ClusterTaskOptions {
  ClusterOptions cluster;
  SessionOptions session;  // of a server only checkpoint_path counts: where it saves by itself
  LinkSecurity security;
  int threads = 1;       // that compute
  int metrics_port = 0;  // /metrics and /healthz on all interfaces; 0: off
};

// `spec`: not for servers, whom the chief tells. Blocks until the task ends.
StatusOr<ClusterEnd> RunClusterTask(FileSystem* fs, Clock* clock,
                                    const std::optional<ModelSpec>& spec,
                                    const ClusterTaskOptions& options, const SessionHooks& hooks);

}  // namespace capstan
