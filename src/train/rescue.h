// What a server saves when its chief is gone for good, beside the checkpoints:
//
//   FOLDER/rescue-57.ps-0-of-2.*         its part of the parameters after step 57, as of a
//   checkpoint FOLDER/rescue-57.ps-0-of-2.state.*   what it is a part of: global_step;
//   capstan/model_file,
//                                        capstan/rescue, capstan/lease_marks
//
// Both are tensor bundles; the second is written first. No name is one of a checkpoint.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "params/snapshot.h"
#include "params/table_spec.h"
#include "ps/lease_board.h"
#include "ps/messages.h"

namespace capstan {

struct RescueState {
  int64_t step = 0;
  int index = 0, servers = 1;
  TrainMode mode = TrainMode::kAsync;
  int64_t base_step = 0;  // of the checkpoint that training went on from; 0: none
  uint64_t job_hash = 0;  // what the chief's handshake said
  std::string model_file;
  std::vector<LeaseMark> marks;  // async
};

std::string RescuePrefix(const std::string& folder, int64_t step, int index, int servers);

// Makes the folder if need be. Older ones of the same server are removed when this one is there.
Status WriteRescue(FileSystem& fs, const std::string& folder, const RescueState& state,
                   const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& pieces,
                   Snapshot* snapshot);
StatusOr<RescueState> ReadRescueState(FileSystem& fs, const std::string& prefix);

// Parts of all servers that can become a checkpoint.
struct RescueSet {
  int64_t step = 0;
  std::vector<std::string> parts;  // prefixes, by server
};
// The newest set in the folder. kNotFound: nothing there is newer than `step`, the newest
// checkpoint's. Other errors say why what is there cannot be gone on from in synchronous training
// of this job.
StatusOr<RescueSet> FindRescueSet(FileSystem& fs, const std::string& folder, int64_t step,
                                  TrainMode mode, uint64_t job_hash);
// What is left of a set whose parts have been moved.
void RemoveRescueStates(FileSystem& fs, const RescueSet& set);

}  // namespace capstan
