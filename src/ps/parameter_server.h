// A server's part of the parameters, and the rules by which requests change it. Pure logic over
// LocalParameters: answers may come later (a pull that waits for a step), on the thread of the
// request that made them possible.
//
// Sync: a step is applied when all its slices are there and somebody goes on behind it, slice by
// slice in order: the same additions as Trainer makes in one process, hence the same bits. Async: a
// push is applied at once.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/latency_histogram.h"
#include "base/mutex.h"
#include "base/status.h"
#include "params/local_parameters.h"
#include "ps/job_thread.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/sharding.h"
#include "ps/transport.h"

namespace capstan {

class ServerCore;

struct ParameterServerOptions {
  int index = 0, servers = 1;
  uint64_t incarnation = 0;  // told in each answer to a control request
  TrainMode mode = TrainMode::kAsync;
  int slices = 8;  // sync
  uint64_t seed = 0;
  std::vector<TableSpec> tables;
  std::vector<DenseSpec> dense;  // of the whole model, laid out
  // The schedule's factor for a step, from 1 (the server applies it; the schedule is the model's).
  std::function<float(int64_t step)> rate_factor = [](int64_t) { return 1.0f; };
  // Memory for rows that change while a cut is being written.
  int64_t snapshot_buffer_bytes = int64_t{256} << 20;
  Clock* clock =
      nullptr;  // of the times in the statistics; outlives the server; null: the machine's
};

// Thread-safe; requests are worked off one after another (the pool inside LocalParameters is
// parallel). The rules:
//  - A pull changes nothing: rows that the step would make are answered with their initial values.
//    Rows are made, counted and admitted when the step (async: the push) is applied.
//  - A generation begins with kBegin, after which requests of other generations get kAborted.
//  - A pull that waits for a step is answered on the thread that applies it. When it is sent again
//    meanwhile, both are answered with `waiting`: so a client knows that the server lives.
//  - A push is applied once by its identity. What is sent again, or belongs to an applied step, is
//    dropped and counted. A push that names keys the server does not know gets kNotFound.
//  - An unknown lease may begin at any index; then its batches come one after the other, and a gap
//    is refused with kFailedPrecondition.
class ParameterServer {
 public:
  // Reads this server's part of a checkpoint into new parameters, and writes a cut; given by
  // `train`, which knows files. Both are called on a thread of their own, one at a time, and do not
  // use the pool.
  struct Storage {
    // Also sets `step` (async: the pushes that were applied) and, in async, the marks.
    std::function<Status(const std::string& prefix, LocalParameters* parameters, int64_t* step,
                         std::vector<LeaseMark>* marks)>
        restore;
    // Returns where the part is; who waits for it is answered then.
    std::function<StatusOr<std::string>(const std::string& prefix, int64_t step,
                                        const std::vector<LeaseMark>& marks,
                                        std::unique_ptr<Snapshot> snapshot)>
        write;
  };

  // `pool` outlives it and is used by nobody else meanwhile.
  ParameterServer(ParameterServerOptions options, WorkerPool* pool, Storage storage);
  // Answers all that waits with kUnavailable. Waits for a part that is being written.
  ~ParameterServer();

  void Pull(std::string request, Reply reply) EXCLUDES(mutex_);
  void Push(std::string request, Reply reply) EXCLUDES(mutex_);
  void Control(std::string request, Reply reply) EXCLUDES(mutex_);

  // Nothing is served any more; waits for a part that is being written. One thread at a time.
  void Close() EXCLUDES(mutex_);
  // For who ends without the chief: closed, and `write` gets what is held now, in the thread
  // of the caller. Waits for a part that is being written. kNotFound: nothing is held.
  struct Held {
    RunId run;
    int64_t step = 0;
    int64_t base_step = 0;  // of the checkpoint that this generation began with; 0: none
    std::vector<LeaseMark> marks;
  };
  using WriteHeld = std::function<Status(const Held& held, Snapshot* snapshot)>;
  Status CloseAndSave(const WriteHeld& write) EXCLUDES(mutex_);

  const Sharding& sharding() const;
  // kEnd came: the process may go.
  bool ended() const EXCLUDES(mutex_);
  // Of the generation that it serves; zeros before the first.
  RunId run() const EXCLUDES(mutex_);

  struct TableStatistics {
    std::string name;
    int64_t rows = 0, memory_bytes = 0;
  };
  struct Statistics {
    int64_t applied_step = 0, pulls = 0, pushes = 0, dropped_pushes = 0;  // pushes: parts applied
    int64_t waiting_pulls = 0;
    int64_t bytes_in = 0, bytes_out = 0, rows = 0, memory_bytes = 0;
    std::vector<TableStatistics> tables;
    // From arrival to answer, but without the time that a pull waits for its step.
    LatencyHistogram pull_times, push_times;
    int64_t cuts = 0, parts_written = 0;        // of checkpoints
    double cut_seconds = 0, write_seconds = 0;  // nothing is served during a cut
  };
  Statistics statistics() const EXCLUDES(mutex_);

 private:
  void Restore(const ControlRequest& request, bool stopping) EXCLUDES(mutex_);
  void StartWriting() REQUIRES(mutex_);

  mutable Mutex mutex_;
  const std::unique_ptr<ServerCore> core_;  // all state; but for constants touched under the mutex
  JobThread jobs_;
};

}  // namespace capstan
