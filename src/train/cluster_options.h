// What a task of a cluster is told beside the options of the training itself.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "ps/cluster_spec.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "train/session.h"

namespace capstan {

// In the folder of checkpoints: written by the chief when all data is done, read by the evaluator.
inline constexpr char kTrainingDoneFile[] = "training_done";

struct ClusterOptions {
  ClusterSpec spec;
  TrainMode mode = TrainMode::kAsync;
  int backup_workers = 0;      // sync
  int64_t max_staleness = -1;  // async; -1: any
  bool overlap_pull = false;   // async: the next batch is pulled beside the step of this one
  ValueFormat wire_format = ValueFormat::kFloat32;
  // How long the start may take, and how long one waits for a peer that was there and is gone.
  std::chrono::milliseconds start_timeout{300'000};
  std::chrono::milliseconds peer_timeout{60'000};
  // A worker that says nothing for so long has lost its leases.
  std::chrono::milliseconds worker_timeout{10'000};
  uint64_t incarnation = 0;  // random, new at each start
};

// How a task of a cluster ended.
struct ClusterEnd {
  bool stopped = false;     // by a signal
  bool peers_gone = false;  // exit code 3; `message` names them
  std::string message;
};

}  // namespace capstan
