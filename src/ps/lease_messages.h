// What workers and the chief say to each other.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "data/input_position.h"
#include "ps/lease_board.h"
#include "ps/messages.h"

namespace capstan {

// A worker's request for work, which is also its heartbeat and its report. It is sent again until
// it is answered; what it reports is counted once however often it comes.
struct LeaseRequest {
  RunId run;  // zeros: I have just started
  int32_t worker = 0;
  uint64_t incarnation = 0;  // a new one ends the leases of the old
  // Rises with every request of the incarnation, also when one is sent again: one that comes behind
  // its successor is refused. 0: not numbered.
  uint64_t number = 0;
  // How many slices it can take. It asks when it has nothing to do: what it holds and has not
  // reported is given to it again. 0: heartbeat only, no work wanted.
  int32_t max_slices = 1;
  // Sync: its pull waits for this step; only slices of steps up to it are wanted. -1: any.
  int64_t up_to_step = -1;
  // It has been told that all is done, and goes.
  bool leaves = false;

  // Done since the last request.
  struct SliceReport {
    int64_t step = 0;
    int32_t slice = 0;
    double loss_sum = 0, weight_sum = 0;
    int64_t examples = 0;
  };
  std::vector<SliceReport> slices;
  // Sync: (step, where the data goes on behind it), of each step whose slices are reported.
  std::vector<std::pair<int64_t, InputPosition>> positions;
  int64_t last_step = -1;  // sync: the data has so many steps, if the worker has reached its end

  uint64_t block = 0;        // async: the block it works on …
  int64_t block_index = -1;  // … the last batch of it that all servers have …
  bool block_done = false;   // … and whether that was the last
  // Async: of the batches up to block_index that no request before reported. Nothing of it counts
  // if that batch is known already.
  double loss_sum = 0, weight_sum = 0;
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
  int64_t global_step = 0;  // sync: finished; async: pushes so far, for schedules

  std::string Encode() const;
  static StatusOr<LeaseAnswer> Decode(std::string_view bytes);
};

}  // namespace capstan
