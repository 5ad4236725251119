// A checkpoint of a cluster: each server writes its part, the chief adds what the run itself needs
// and puts the parts together under TensorFlow's names.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "model/model.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/transport.h"
#include "train/checkpoint_file.h"
#include "train/checkpoint_folder.h"
#include "train/cluster_options.h"
#include "train/control_round.h"

namespace capstan {

// What an asynchronous run has to remember of its leases.
struct LeaseState {
  std::vector<BlockLease> open;  // blocks that are not done
  InputPosition next_block;      // where blocks that nobody has seen begin
  bool no_more_blocks = false;
  int64_t examples = 0;  // trained so far
  // Records of all blocks before next_block, as the scanner counted them; -1: not known.
  int64_t scanned = -1;
};

// One thread (the chief's); answers of servers come on others.
//
//   Start ──all servers have their snapshots (all_cut)──all parts are written (ready)──> Finish
//
// A broken connection costs nothing: requests are sent again until the heartbeat says that a server
// is gone; then Abandon.
class ClusterCheckpoint {
 public:
  // All pointers must outlive it and every call in flight.
  ClusterCheckpoint(FileSystem* fs, Transport* transport, CheckpointFolder* folder,
                    const Model* model, const ClusterOptions& options, std::string graph_path);

  // Asks all servers for snapshots as of after `step` (sync) or as they are (async). One at a time.
  // `finished_step`: sync: steps up to it are done.
  void Start(const RunId& run, int64_t step, int64_t finished_step);
  // Sends again what is due, and asks for the parts once all snapshots are there.
  void Advance(std::chrono::microseconds now);
  bool busy() const { return cut_ != nullptr; }
  int64_t step() const { return step_; }
  // Every server has its snapshot: async: pushes may go on.
  bool all_cut() const { return cut_ == nullptr || part_ != nullptr; }
  // A server could not make this cut any more (it is beyond the step, or still writes an abandoned
  // one): to be abandoned, and tried again later.
  bool missed() const;
  // All parts are written, or one never will be; then `Finish` tells how it went.
  bool ready() const;
  // Puts the parts together and commits. `leases` null: sync.
  Status Finish(const RunState& run, const LeaseState* leases, bool is_best);
  // Forgets the checkpoint in progress.
  void Abandon();

  // A checkpoint of parts that are there already, by server. They are moved into it.
  Status Join(const std::vector<std::string>& parts, const RunState& run);

 private:
  Status WriteOwnPart(const std::string& prefix, const RunState& run, const LeaseState* leases,
                      const std::vector<LeaseMark>& marks);
  Status PutTogether(std::vector<std::string> parts, const RunState& run, const LeaseState* leases,
                     const std::vector<LeaseMark>& marks, bool is_best);
  void RemoveAbandonedParts();

  FileSystem* const fs_;
  Transport* const transport_;
  CheckpointFolder* const folder_;
  const Model* const model_;
  const ClusterOptions options_;
  const std::string graph_path_;
  ControlRequest request_;  // of the checkpoint in progress
  std::unique_ptr<ControlRound> cut_, part_;
  int64_t step_ = 0;
  uint64_t cuts_ = 0;
  std::vector<std::string> abandoned_;  // prefixes of which servers may have written parts
};

// Of an asynchronous run's checkpoint; kNotFound in others.
StatusOr<LeaseState> ReadLeaseState(const TensorBundleReader& reader);

}  // namespace capstan
