// The evaluator task: validates each new checkpoint beside the training.
#pragma once

#include <cstdint>
#include <functional>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "model/metrics.h"
#include "train/cluster_options.h"
#include "train/session.h"

namespace capstan {

// Watches options.checkpoint_path and evaluates whatever becomes the newest on the validation files; writes
// lines and events (to OUTPUT_PATH/eval). Ends when the chief's last checkpoint has been seen (the file
// `training_done` names its step) or by `stop_requested`. `evaluated` hears of each.
StatusOr<ClusterEnd> EvaluateCheckpoints(
    FileSystem* fs, Clock* clock, const SessionOptions& options, int threads,
    const SessionHooks& hooks,
    const std::function<void(int64_t step, const EvaluationResult&)>& evaluated);

}  // namespace capstan
