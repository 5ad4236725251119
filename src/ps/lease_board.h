// Who does what: the chief's book of leases. Pure logic: no threads, no clock of its own, no
// network. docs/leases.md tells the whole story.
//
// Sync: a lease is a slice of a step. Steps come in order; slices of the next step are given out
// while the current one is being finished (servers make its pulls wait).
//   slice: free → given to a worker (late: to backups too) → done
// Async: a lease is a block of the data. block: free → given → done; a lost worker's block is free
// again, and whoever takes it begins behind the last batch that every server has.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "data/input_position.h"
#include "ps/worker_paces.h"

namespace capstan {

enum class TrainMode : uint8_t { kAsync = 0, kSync = 1 };

// What is left to do of a block.
struct BlockLease {
  uint64_t id = 0;      // epoch << 32 | block: the same in every generation
  InputPosition start;  // of the block; `example` is behind the batches that are applied already
  int64_t first_index = 0;  // of the batches that are still to do; `start.batch` is the same
  int64_t examples = -1;    // records of the whole block, those before start.example too; -1: any
};
uint64_t BlockLeaseId(const InputPosition& start);
// What is left of it behind batch `index`: for marks of servers.
BlockLease BehindBatch(BlockLease lease, int64_t index, int batch_size);

struct LeaseBoardOptions {
  TrainMode mode = TrainMode::kAsync;
  int batch_size = 1024;  // async: examples; says where in its block a batch begins
  int slices = 8;         // sync: of a step
  int steps_ahead = 1;    // sync: steps beyond the oldest unfinished one that may be given out
  int backup_workers =
      0;  // sync: how many workers may compute a slice that is late beside its owner
  std::chrono::milliseconds late_after{
      1000};  // sync: a slice is late when it was given so long ago
  int64_t max_staleness =
      -1;  // async: a worker may be so many batches ahead of the slowest; -1: any
};

// One thread at a time (the coordinator locks). Workers are small numbers from 0.
class LeaseBoard {
 public:
  explicit LeaseBoard(const LeaseBoardOptions& options);

  // Each of the two forgets everything before it (but how fast workers are).
  // Sync: the next step to do, and how many steps there are in all once that is known (a worker
  // that reaches the end of the data says so).
  void StartSync(int64_t next_step);
  void SetLastStep(int64_t last_step);
  int64_t last_step() const { return last_step_; }  // -1: not known yet
  // Async: blocks to begin with (open ones of a checkpoint, by ascending id), then those of Add.
  void StartAsync(const std::vector<BlockLease>& open);
  // False, and nothing done, when its id is not above all ids so far, or behind the last block.
  bool Add(const BlockLease& lease);
  void SetNoMoreBlocks() { no_more_blocks_ = true; }
  size_t free_blocks() const { return free_.size(); }
  bool is_open(uint64_t lease) const { return blocks_.contains(lease); }

  // Work for a worker that has nothing to do: what it holds and has not done is given again (the
  // answer was lost on the way, or the work failed), else something new.
  // Sync: slices of one step, at most `max_slices` and, if `up_to_step` >= 0, of steps up to that
  // one only: what a worker asks for while its pull waits for that step. Else nobody would do the
  // slices of a lost worker while all others wait for them. Order: free slices of the oldest
  // unfinished step, late ones of it, free ones of later steps. Of these it gets its share of the
  // whole step at once (WorkerPaces), neighbours if possible; who comes again in the same step gets
  // its share of what is left.
  // Async: the worker's block for one batch more, if it is not too far ahead of the slowest worker
  // that has a block.
  struct Grant {
    enum class Kind : uint8_t { kSlices, kBlock, kWait, kDone } kind = Kind::kWait;
    int64_t step = 0;
    std::vector<int32_t> slices;
    BlockLease block;
  };
  Grant Take(int worker, int max_slices, std::chrono::milliseconds now, int64_t up_to_step = -1);

  // Async: this open block for one batch more, in the place of the one that the worker has, however
  // far ahead it is. kWait, and nothing done, when another worker has it.
  Grant TakeThis(int worker, uint64_t lease, std::chrono::milliseconds now);

  // Sync: the worker is there: others leave its share to it. (Take says that, too.)
  void Meet(int worker) { paces_.Meet(worker); }
  // Sync: its report of so many slices of a step has come: how fast it is.
  void SlicesReported(int worker, int64_t step, int slices, std::chrono::milliseconds now) {
    paces_.Reported(worker, step, slices, now);
  }
  // Reports, by anybody: who was lost may come back with a result. True if it was news; false for
  // what is done already (a backup was faster), or is no lease of this board.
  bool SliceDone(int64_t step, int32_t slice);
  // Async: all servers have batches up to `index` of the block.
  bool BatchDone(int worker, uint64_t lease, int64_t index, std::chrono::milliseconds now);
  bool BlockDone(uint64_t lease);

  // Everything that the worker holds is free again, and it gets no share before it comes back.
  void Lost(int worker);

  // Sync: all steps up to this one are done.
  int64_t finished_step() const { return finished_step_; }
  bool all_done() const;

  // Async, for a checkpoint: blocks that are not done, by id, with their progress. A block is done,
  // or open, or above all ids here and not added yet.
  std::vector<BlockLease> OpenBlocks() const;
  // Who lets the others wait: "step 120: slice 3 of worker 2 since 14 s",
  // "epoch 0, block 7: batch 12 of worker 1 since 31 s".
  std::vector<std::string> LateLeases(std::chrono::milliseconds now,
                                      std::chrono::milliseconds older_than) const;
  // How many leases there are: of blocks, or of slices of steps that are not finished; `late` are
  // those of `granted` without progress for `older_than`; `done` since the start.
  struct Counts {
    int64_t free = 0, granted = 0, late = 0, done = 0;
  };
  Counts Count(std::chrono::milliseconds now, std::chrono::milliseconds older_than) const;

 private:
  struct Slice {
    std::set<int> owners;  // none: free
    std::chrono::milliseconds given{0};
    bool done = false;
  };
  struct Block {
    BlockLease lease;  // what is left behind `progress`
    int owner = -1;    // -1: free
    int64_t owner_index = -1;
    std::chrono::milliseconds since{0};  // given, or progress was made
  };
  struct Worker {
    int64_t clock = 0;  // batches done, moved up to the slowest when it gets a block
    bool has_block = false;
  };

  bool MayTake(int worker, const Slice& slice, int round, std::chrono::milliseconds now) const;
  int ShareOf(int worker, int64_t step, int max_slices, int may_take) const;
  Grant TakeSlices(int worker, int max_slices, std::chrono::milliseconds now, int64_t up_to_step);
  Grant TakeBlock(int worker, std::chrono::milliseconds now);
  Block* BlockOf(int worker);  // null: none
  void Give(Block* block, int worker, std::chrono::milliseconds now);
  int64_t SlowestClock() const;  // of workers that hold blocks; -1: there are none
  void Release(const Block& block);
  void AddLateSlices(std::chrono::milliseconds now, std::chrono::milliseconds older_than,
                     std::vector<std::string>* texts) const;

  const LeaseBoardOptions options_;

  WorkerPaces paces_;  // sync
  int64_t finished_step_ = 0, last_step_ = -1;
  int64_t done_ = 0;                             // leases
  std::map<int64_t, std::vector<Slice>> steps_;  // unfinished ones that were touched

  std::map<uint64_t, Block> blocks_;  // open ones
  std::set<uint64_t> free_;           // those without owner
  std::map<int, Worker> workers_;
  uint64_t next_id_ = 0;  // above all so far
  bool no_more_blocks_ = false;
};

}  // namespace capstan
