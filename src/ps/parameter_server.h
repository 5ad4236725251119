// A server's part of the parameters, and the rules by which requests change it. Pure logic over
// LocalParameters: answers may come later (a pull that waits for a step), on the thread of the
// request that made them possible.
//
// Sync: a step is applied when all its slices are there, slice by slice in order: the same
// additions as Trainer makes in one process, hence the same bits. Async: a push is applied at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "base/status.h"
#include "params/local_parameters.h"
#include "ps/lease_board.h"
#include "ps/messages.h"
#include "ps/sharding.h"
#include "ps/transport.h"

namespace capstan {

struct ParameterServerOptions {
  int index = 0, servers = 1;
  TrainMode mode = TrainMode::kAsync;
  int slices = 8;  // sync
  uint64_t seed = 0;
  std::vector<TableSpec> tables;
  std::vector<DenseSpec> dense;  // of the whole model, laid out
  // The schedule's factor for a step (the server applies it; floors: the schedule is the model's).
  std::function<float(int64_t step)> rate_factor = [](int64_t) { return 1.0f; };
};

// Thread-safe; requests are worked off one after another (the pool inside LocalParameters is
// parallel).
class ParameterServer {
 public:
  // Reads this server's part of a checkpoint into new parameters, and writes a cut; given by
  // `train`, which knows files. Restore returns the marks (async) and sets `step`.
  struct Storage {
    std::function<Status(const std::string& prefix, LocalParameters* parameters, int64_t* step,
                         std::vector<LeaseMark>* marks)>
        restore;
    // Called on a thread of its own with the cut; the answer is sent when it returns.
    std::function<StatusOr<std::string>(const std::string& prefix, int64_t step,
                                        const std::vector<LeaseMark>& marks,
                                        std::unique_ptr<Snapshot> snapshot)>
        write;
  };

  ParameterServer(const ParameterServerOptions& options, WorkerPool* pool, Storage storage);
  ~ParameterServer();

  void Pull(std::string request, Reply reply) EXCLUDES(mutex_);
  void Push(std::string request, Reply reply) EXCLUDES(mutex_);
  void Control(std::string request, Reply reply) EXCLUDES(mutex_);

  // kEnd came: the process may go.
  bool ended() const EXCLUDES(mutex_);

  struct Statistics {
    int64_t applied_step = 0, pulls = 0, pushes = 0, dropped_pushes = 0;
    int64_t bytes_in = 0, bytes_out = 0, rows = 0, memory_bytes = 0;
  };
  Statistics statistics() const EXCLUDES(mutex_);

 private:
  struct Rep;
  mutable Mutex mutex_;
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
