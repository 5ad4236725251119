// Who does what: the chief's book of leases. Pure logic: no threads, no clock of its own, no
// network.
//
// Sync: a lease is a slice of a step. Steps come in order; slices of the next step are given out
// while the current one is being finished (servers make its pulls wait).
//   slice: free → given to a worker (late: to backups too) → done
// Async: a lease is a block of the data. block: free → given → done; a lost worker's block is free
// again, and whoever takes it begins behind the last batch that every server has.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/input_position.h"

namespace capstan {

enum class TrainMode : uint8_t { kAsync = 0, kSync = 1 };

struct BlockLease {
  uint64_t id = 0;      // epoch << 32 | block: the same in every generation
  InputPosition start;  // of the block; `example` is behind the batches that are applied already
  int64_t first_index = 0;  // of the batches that are still to do
};

struct LeaseBoardOptions {
  TrainMode mode = TrainMode::kAsync;
  int slices = 8;       // sync: of a step
  int steps_ahead = 1;  // sync: steps beyond the oldest unfinished one that may be given out
  int backup_workers =
      0;  // sync: how many workers may compute a slice that is late beside its owner
  std::chrono::milliseconds late_after{
      1000};  // sync: a slice is late when it was given so long ago
  int64_t max_staleness =
      -1;  // async: a worker may be so many batches ahead of the slowest; -1: any
};

// The next block of the data, or false at the end. Called in order; slow ones (files are scanned)
// are called from the chief's own thread, ahead of need.
using BlockSource = std::function<StatusOr<bool>(BlockLease* lease)>;

// One thread at a time (the coordinator locks).
class LeaseBoard {
 public:
  explicit LeaseBoard(const LeaseBoardOptions& options);

  // Sync: the next step to do, and how many steps there are in all once that is known (-1: not yet:
  // a worker that reaches the end of the data says so).
  void StartSync(int64_t next_step);
  void SetLastStep(int64_t last_step);
  // Async: blocks to begin with (of a checkpoint: open ones first), then those of Add.
  void StartAsync(std::vector<BlockLease> open);
  void Add(const BlockLease& lease);
  void SetNoMoreBlocks();
  size_t free_blocks() const;

  // Work for a worker.
  struct Grant {
    enum class Kind { kSlices, kBlock, kWait, kDone } kind = Kind::kWait;
    int64_t step = 0;
    std::vector<int32_t> slices;
    BlockLease block;
  };
  Grant Take(int worker, int max_slices, std::chrono::milliseconds now);

  // Reports. A slice or block that is done already is fine (a backup was faster); returns true if
  // it was news.
  bool SliceDone(int worker, int64_t step, int32_t slice);
  bool BlockDone(int worker, uint64_t lease);
  // Async: batches of a block that all servers have.
  void BlockProgress(uint64_t lease, int64_t index);

  // Everything that the worker holds is free again.
  void Lost(int worker);

  // Sync: all steps up to this one are done.
  int64_t finished_step() const { return finished_step_; }
  bool all_done() const;

  // Async, for a checkpoint: blocks that are not done, with their progress, and those done beyond
  // the oldest open one need no note: a block is done or open or not begun.
  std::vector<BlockLease> OpenBlocks() const;
  // Who waits for whom, for the log: "step 120: slice 3 of worker 2 since 14 s".
  std::vector<std::string> LateLeases(std::chrono::milliseconds now,
                                      std::chrono::milliseconds older_than) const;

 private:
  struct Slice {
    std::set<int> owners;
    std::chrono::milliseconds given{0};
    bool done = false;
  };
  struct Block {
    BlockLease lease;
    int owner = -1;
    std::chrono::milliseconds given{0};
    int64_t progress = -1;
  };

  const LeaseBoardOptions options_;
  int64_t finished_step_ = 0, last_step_ = -1;
  std::map<int64_t, std::vector<Slice>> steps_;  // unfinished
  std::deque<BlockLease> free_;
  std::map<uint64_t, Block> given_;
  bool no_more_blocks_ = false;
};

}  // namespace capstan
