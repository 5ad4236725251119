// A checkpoint of a cluster: each server writes its part, the chief adds what the run itself needs and puts the
// parts together under TensorFlow's names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "model/model.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/transport.h"
#include "train/checkpoint_file.h"
#include "train/checkpoint_folder.h"
#include "train/cluster_options.h"

namespace capstan {

// What an asynchronous run has to remember of its leases.
struct LeaseState {
  std::vector<BlockLease> open;  // blocks that are not done
  InputPosition next_block;      // where blocks that nobody has seen begin
  bool no_more_blocks = false;
  int64_t examples = 0;  // trained so far
};

// One thread (the chief's); answers of servers come on others.
class ClusterCheckpoint {
 public:
  // All pointers must outlive it and every call in flight.
  ClusterCheckpoint(FileSystem* fs, Transport* transport, CheckpointFolder* folder,
                    const Model* model, const ClusterOptions& options, std::string graph_path);

  // Asks all servers for their parts as of after `step` (sync) or as they are (async). One at a time.
  // `finished_step`: sync: steps up to it are done.
  void Start(const RunId& run, int64_t step, int64_t finished_step);
  bool busy() const { return pending_ != nullptr; }
  int64_t step() const { return step_; }
  // Async: every server has made its cut: pushes may go on.
  bool all_cut() const;
  // All servers have answered; then `Finish` tells how it went.
  bool ready() const;
  // Puts the parts together and commits. `leases` null: sync.
  Status Finish(const RunState& run, const LeaseState* leases, bool is_best);
  // Forgets the checkpoint in progress: a server is gone.
  void Abandon();

 private:
  struct Pending;

  Status WriteOwnPart(const std::string& prefix, const RunState& run, const LeaseState* leases,
                      const std::vector<LeaseMark>& marks);

  FileSystem* const fs_;
  Transport* const transport_;
  CheckpointFolder* const folder_;
  const Model* const model_;
  const ClusterOptions options_;
  const std::string graph_path_;
  std::shared_ptr<Pending> pending_;
  int64_t step_ = 0;
};

// Of an asynchronous run's checkpoint; kNotFound in others.
StatusOr<LeaseState> ReadLeaseState(const TensorBundleReader& reader);

}  // namespace capstan
