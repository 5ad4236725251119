// The chief's side of a job: who is there, which generation runs, who does what. Logic over a
// LeaseBoard, driven by requests of workers and by Tick(); no threads of its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "data/input_position.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/transport.h"

namespace capstan {

struct CoordinatorOptions {
  int workers = 1;  // trainers: workers, and a chief of its own
  LeaseBoardOptions leases;
  std::chrono::milliseconds worker_timeout{
      10'000};  // silent for so long: lost, its leases are free again
};

// A worker's request for work, which is also its heartbeat and its report.
struct LeaseRequest {
  RunId run;  // zeros: I have just started
  int32_t worker = 0;
  uint64_t incarnation = 0;  // a new one ends the leases of the old
  int32_t max_slices = 1;    // 0: heartbeat only, no work wanted
  // Done since the last request (sent again until answered).
  struct SliceReport {
    int64_t step = 0;
    int32_t slice = 0;
    double loss_sum = 0, weight_sum = 0;
    int64_t examples = 0;
  };
  std::vector<SliceReport> slices;
  std::vector<std::pair<int64_t, InputPosition>>
      positions;             // sync: (step, where the data goes on behind it)
  int64_t last_step = -1;    // sync: the data has so many steps, if the worker has reached its end
  uint64_t block = 0;        // async: the block it works on …
  int64_t block_index = -1;  // … the last batch of it that all servers have …
  bool block_done = false;   // … and whether that was the last
  double loss_sum = 0, weight_sum = 0;  // async: since the last request
  int64_t examples = 0;
  int64_t staleness_sum = 0, staleness_max = 0, pushes = 0;

  std::string Encode() const;
  static StatusOr<LeaseRequest> Decode(std::string_view bytes);
};

struct LeaseAnswer {
  RunId run;  // another than the request's: drop everything and begin as told here
  LeaseBoard::Grant::Kind kind = LeaseBoard::Grant::Kind::kWait;
  int64_t wait_ms = 50;
  int64_t step = 0;  // sync
  std::vector<int32_t> slices;
  BlockLease block;         // async
  int64_t start_step = 0;   // of the generation
  InputPosition start;      // sync: where the data begins for start_step + 1
  int64_t global_step = 0;  // async: pushes so far, for schedules

  std::string Encode() const;
  static StatusOr<LeaseAnswer> Decode(std::string_view bytes);
};

// Thread-safe.
class Coordinator {
 public:
  explicit Coordinator(const CoordinatorOptions& options);

  // A generation begins; requests of older ones are answered with it. Sync: steps from start_step +
  // 1 on. Async: `open` first.
  void Begin(const RunId& run, int64_t start_step, const InputPosition& start,
             std::vector<BlockLease> open) EXCLUDES(mutex_);
  // No generation: workers are told to wait (servers are gone or going back).
  void Suspend() EXCLUDES(mutex_);

  // Async: blocks, from the chief's scanner.
  void AddBlock(const BlockLease& lease) EXCLUDES(mutex_);
  void SetNoMoreBlocks() EXCLUDES(mutex_);
  size_t free_blocks() const EXCLUDES(mutex_);

  StatusOr<LeaseAnswer> Lease(const LeaseRequest& request, std::chrono::milliseconds now)
      EXCLUDES(mutex_);
  // Frees leases of silent workers; returns their names, each once.
  std::vector<std::string> Tick(std::chrono::milliseconds now) EXCLUDES(mutex_);

  // Sync: all steps up to it are done; the position behind a finished step (kept for the last few).
  int64_t finished_step() const EXCLUDES(mutex_);
  StatusOr<InputPosition> PositionAfter(int64_t step) const EXCLUDES(mutex_);
  std::vector<BlockLease> OpenBlocks() const EXCLUDES(mutex_);

  bool all_done() const EXCLUDES(mutex_);
  // All workers that ever came have been told that all is done (or are lost).
  bool all_told() const EXCLUDES(mutex_);

  struct WorkerState {
    bool seen = false, lost = false, told_done = false;
    uint64_t incarnation = 0;
    std::chrono::milliseconds last_seen{0};
    int64_t examples = 0, restarts = 0;
  };
  struct Progress {
    int64_t global_step = 0;              // sync: finished; async: pushes
    int64_t examples = 0;                 // trained, each once
    double loss_sum = 0, weight_sum = 0;  // since the last call of TakeProgress
    int64_t staleness_sum = 0, staleness_max = 0, pushes = 0;
    std::vector<WorkerState> workers;
    std::vector<std::string> late;
  };
  Progress TakeProgress(std::chrono::milliseconds now) EXCLUDES(mutex_);

 private:
  struct Rep;
  mutable Mutex mutex_;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
