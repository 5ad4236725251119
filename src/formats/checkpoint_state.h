// The text file `checkpoint` in a folder of checkpoints: which are there, which is the newest.
#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

struct CheckpointState {
  std::string newest;            // as written: relative to the folder, or absolute
  std::vector<std::string> all;  // oldest first, the last is `newest`
};

// kNotFound when the folder has no such file.
StatusOr<CheckpointState> ReadCheckpointState(FileSystem& fs, const std::string& folder);
// Atomically.
Status WriteCheckpointState(FileSystem& fs, const std::string& folder,
                            const CheckpointState& state);

// The prefix of the newest checkpoint of a folder: absolute paths stay, relative ones get the
// folder.
StatusOr<std::string> LatestCheckpoint(FileSystem& fs, const std::string& folder);

}  // namespace capstan
