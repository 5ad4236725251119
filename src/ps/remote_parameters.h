// Parameters on servers, as a trainer sees them: one round trip per server for a pull and for a
// push.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/latency_histogram.h"
#include "base/status.h"
#include "params/parameters.h"
#include "params/slice_tree.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/sharding.h"
#include "ps/transport.h"

namespace capstan {

struct RemoteParametersOptions {
  TrainMode mode = TrainMode::kAsync;
  std::vector<std::string> servers;  // addresses
  int worker = 0;
  // Makes the numbers of its pulls differ from those of the task's earlier starts; 0: random.
  uint64_t incarnation = 0;
  ValueFormat format = ValueFormat::kFloat32;
  // A call that fails is made again, with the same identity, until so long ago nobody answered.
  std::chrono::milliseconds call_timeout{10'000};
  std::chrono::milliseconds peer_timeout{60'000};
  std::chrono::milliseconds retry_delay{100};
};

// One trainer thread, except where said. kAborted from any call: the generation is over; ask the
// chief. kUnavailable: a server was not reached for peer_timeout; the message names it and its
// address. A server that answers "still waiting" counts as reached: a step may take any time.
class RemoteParameters : public Parameters {
 public:
  // `transport` outlives it; so does `clock`, null: the machine's.
  RemoteParameters(std::vector<TableSpec> tables, std::vector<DenseSpec> dense,
                   const RemoteParametersOptions& options, Transport* transport,
                   Clock* clock = nullptr);
  ~RemoteParameters() override;

  const std::vector<TableSpec>& tables() const override;
  const std::vector<DenseSpec>& dense_variables() const override;
  // Rows come packed: the parts' weights side by side.
  const PulledRowFormat& row_format(int table) const override;

  // The trainer thread: calls belong to this generation from now on, and what was pulled before is
  // not pushed any more.
  void SetRun(const RunId& run);
  // From any thread. A call that waits ends with kAborted. Stop: all calls end with kCancelled from
  // now on.
  void Interrupt();
  void Stop();

  // Sync: the rows as of after `step` - 1. Async: as they are. Rows point into the answers. The
  // dense weights of a step are asked for once: they come with its first pull.
  Status Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) override;
  // Sends the pull of the next batch already, beside the last pull's push: in sync with the same
  // bits (the servers answer when the step before is applied), in async the rows lack this worker's
  // last push. The next Pull waits for its answers if it is of the same generation, keys and counts
  // and, in sync, step; else what was started is forgotten.
  Status StartPull(int64_t step, std::span<const TableKeys> keys) override;
  Status Lookup(std::span<const TableKeys> keys, PulledRows* rows) override;
  std::span<const float> dense() const override;

  // Async: one batch of a lease. `identity` says which: set before each Push.
  void SetPushIdentity(const PushIdentity& identity);
  Status Push(const StepRates& rates, const Gradients& gradients) override;
  // Sync: row gradients of several slices of the last pull, each with its identity, and their dense
  // gradients, added up over the largest nodes that hold exactly these slices (LargestSliceNodes).
  struct SlicePush {
    PushIdentity identity;
    double weight_sum = 0;
    // [table]: rows of all pulled keys …
    std::vector<std::span<const float>> rows;
    // … of which only those with a count are sent: [table][key]: times in the slice
    std::vector<std::span<const uint32_t>> counts;
  };
  struct DensePush {
    SliceNode node;
    std::span<const float> values;  // [dense size], or empty: all zeros
  };
  Status PushSlices(std::span<const SlicePush> slices, std::span<const DensePush> dense);

  struct Statistics {
    int64_t bytes_out = 0, bytes_in = 0, pulls = 0, pushes = 0, retries = 0;
    int64_t staleness_sum = 0,
            staleness_max = 0;                // async: pushes applied between a pull and its push
    LatencyHistogram pull_times, push_times;  // of calls of Pull and Push: what a trainer waits
  };
  // From any thread.
  Statistics statistics() const;

 private:
  struct Rep;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
