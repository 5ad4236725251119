// Checkpoints in memory, for tests: what servers write and restore, whole again and comparable.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "params/local_parameters.h"
#include "ps/parameter_server.h"
#include "ps/sharding.h"

namespace capstan {

// All of a model: rows as they lie in memory, dense weights and slots of whole variables.
struct CheckpointContents {
  std::vector<std::map<uint64_t, std::string>> rows;                        // [table]
  std::vector<std::map<uint64_t, std::pair<uint32_t, uint32_t>>> filtered;  // count, last step
  std::map<std::string, std::vector<float>> dense;  // "VARIABLE" and "VARIABLE/slot"
  int64_t step = 0;
  bool operator==(const CheckpointContents& other) const {
    return rows == other.rows && filtered == other.filtered && dense == other.dense &&
           step == other.step;
  }
};

// Thread-safe.
class MemoryCheckpoints {
 public:
  MemoryCheckpoints(std::vector<TableSpec> tables, std::vector<DenseSpec> dense)
      : tables_(std::move(tables)), dense_(std::move(dense)) {}

  ParameterServer::Storage StorageOf(int server, int servers);
  // Adds what a snapshot holds of `pieces` to a checkpoint.
  Status Write(const std::string& prefix, const std::vector<DenseSpec>& pieces, Snapshot* snapshot)
      EXCLUDES(mutex_);
  Status Restore(const std::string& prefix, int server, const Sharding& sharding,
                 LocalParameters* parameters, int64_t* step, std::vector<LeaseMark>* marks)
      EXCLUDES(mutex_);

  void Add(const std::string& prefix, const CheckpointContents& contents) EXCLUDES(mutex_);
  CheckpointContents Contents(const std::string& prefix) EXCLUDES(mutex_);
  std::vector<LeaseMark> MarksOf(const std::string& prefix, int server) EXCLUDES(mutex_);

 private:
  struct Checkpoint {
    CheckpointContents contents;
    std::map<int, std::vector<LeaseMark>> marks;  // by server
    std::map<int, int64_t> steps;
  };

  const std::vector<TableSpec> tables_;
  const std::vector<DenseSpec> dense_;
  Mutex mutex_;
  std::map<std::string, Checkpoint> checkpoints_ GUARDED_BY(mutex_);
};

}  // namespace capstan
