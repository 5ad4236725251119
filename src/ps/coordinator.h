// The chief's side of a job: who is there, which generation runs, who does what. Logic over a
// LeaseBoard, driven by requests of workers and by Tick(); no threads of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "data/input_position.h"
#include "ps/lease_board.h"
#include "ps/lease_messages.h"
#include "ps/messages.h"

namespace capstan {

struct CoordinatorOptions {
  int workers = 1;  // trainers: workers, and a chief of its own
  LeaseBoardOptions leases;
  // Ends with this step (async: after exactly so many batches) even if the data have more; 0: does
  // not. Blocks that are open then stay open.
  int64_t max_steps = 0;
  // Silent for so long: lost, its leases are free again.
  std::chrono::milliseconds worker_timeout{10'000};
  // Told that all is done and silent for so long: gone (the answer may have been lost).
  std::chrono::milliseconds farewell{1'000};
  // Leases that are listed as late in Progress.
  std::chrono::milliseconds report_late_after{10'000};
};

// Thread-safe. `now` is a monotonic clock's, the same for all calls.
class Coordinator {
 public:
  explicit Coordinator(const CoordinatorOptions& options);
  ~Coordinator();

  // A generation begins; requests of older ones are answered with it, and what they report is
  // dropped. Sync: steps from start_step + 1 on. Async: `open` first.
  void Begin(const RunId& run, int64_t start_step, const InputPosition& start,
             const std::vector<BlockLease>& open) EXCLUDES(mutex_);
  // No generation: workers are told to wait (servers are gone or going back), and what they report
  // is dropped.
  void Suspend() EXCLUDES(mutex_);

  // Async: blocks, from the chief's scanner.
  void AddBlock(const BlockLease& lease) EXCLUDES(mutex_);
  void SetNoMoreBlocks() EXCLUDES(mutex_);
  size_t free_blocks() const EXCLUDES(mutex_);
  // Async, for a checkpoint that all servers cut at one moment: while paused no batch is begun. It
  // is quiet when none is on its way: every batch is on all servers or on none. A worker that was
  // lost in a batch may have left half of it; then it is not quiet before somebody has done that
  // batch again, and it is given out even while paused.
  void SetPaused(bool paused) EXCLUDES(mutex_);
  bool quiet() const EXCLUDES(mutex_);

  // kInvalidArgument: a worker or a report that cannot be. kFailedPrecondition: an older copy of a
  // worker that has been started again, or workers whose data differ.
  StatusOr<LeaseAnswer> Lease(const LeaseRequest& request, std::chrono::milliseconds now)
      EXCLUDES(mutex_);
  // Frees leases of silent workers; returns their names ("worker 1"), each once until it comes
  // back. A pause of `worker_timeout` between calls is not held against workers: nobody could be
  // heard.
  std::vector<std::string> Tick(std::chrono::milliseconds now) EXCLUDES(mutex_);

  // Sync: all steps up to it are done; the position behind a finished step, and the examples
  // counted up to there (kept for the start and the last 16).
  int64_t finished_step() const EXCLUDES(mutex_);
  StatusOr<InputPosition> PositionAfter(int64_t step) const EXCLUDES(mutex_);
  // What is known of this step is kept however far training gets; of one step at a time.
  void Keep(int64_t step) EXCLUDES(mutex_);
  StatusOr<int64_t> ExamplesAfter(int64_t step) const EXCLUDES(mutex_);
  // Async: blocks that are not done, and the examples counted at that moment.
  std::vector<BlockLease> OpenBlocks(int64_t* examples = nullptr) const EXCLUDES(mutex_);

  bool all_done() const EXCLUDES(mutex_);
  // All workers that ever came know that all is done (they left, or `farewell` is over) or are
  // lost. As of the last call of Tick or Lease.
  bool all_told() const EXCLUDES(mutex_);
  // Names of workers that have never come.
  std::vector<std::string> missing_workers() const EXCLUDES(mutex_);

  struct WorkerState {
    bool seen = false, lost = false, told_done = false, left = false;
    uint64_t incarnation = 0;
    std::chrono::milliseconds last_seen{0};
    int64_t examples = 0;  // counted from its reports, in all generations
    int64_t restarts = 0;
  };
  struct Progress {
    int64_t global_step = 0;              // sync: finished; async: start_step + pushes
    int64_t examples = 0;                 // trained in this generation, each once
    int64_t twice = 0;                    // async: more than the blocks that are done have …
    int64_t skipped = 0;                  // … and less (bad records)
    int64_t repeated = 0;                 // results that came again and were dropped
    double loss_sum = 0, weight_sum = 0;  // since the last call of TakeProgress
    int64_t staleness_sum = 0, staleness_max = 0, pushes = 0;  // likewise
    std::vector<WorkerState> workers;
    std::vector<std::string> late;
  };
  Progress TakeProgress(std::chrono::milliseconds now) EXCLUDES(mutex_);
  // For whoever watches.
  std::vector<WorkerState> workers() const EXCLUDES(mutex_);
  LeaseBoard::Counts CountLeases(std::chrono::milliseconds now) const EXCLUDES(mutex_);

 private:
  struct Rep;
  mutable Mutex mutex_;
  const std::unique_ptr<Rep> rep_ PT_GUARDED_BY(mutex_);
};

}  // namespace capstan
