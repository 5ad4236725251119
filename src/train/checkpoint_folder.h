// The folder of a run's checkpoints: which are kept, which is the newest, which is the best.
//
//   FOLDER/checkpoint         TensorFlow's state file: the newest, and all that are kept
//   FOLDER/best_checkpoint    one line: the name of the one with the best validation
//   FOLDER/checkpoint.ckpt-100.index, .data-00000-of-00001, .meta
//   FOLDER/graph.pbtxt
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

// One owner, one thread.
class CheckpointFolder {
 public:
  // Makes the folder; `keep` newest checkpoints stay, and the best beside them. Leftovers of
  // writers that were killed (temporary names, files of a checkpoint without index) are removed.
  // `base_name` as in "checkpoint.ckpt".
  static StatusOr<CheckpointFolder> Open(FileSystem* fs, const std::string& folder,
                                         const std::string& base_name, int keep);

  // Prefix of the newest that has an index, or "" when the state file names none.
  StatusOr<std::string> Newest() const;
  std::string PrefixOf(int64_t step) const;

  // Called when all files of the step's checkpoint are in place: it becomes the newest (and the
  // best, if so), then those that are not kept any more are removed. A step may come again.
  Status Commit(int64_t step, bool is_best);

  // --mode=train_from_scratch: the next Commit forgets and removes all that is there now; until
  // then it stays whole.
  void StartOver() { starts_over_ = true; }

 private:
  CheckpointFolder(FileSystem* fs, std::string folder, std::string base_name, int keep);
  std::string FullPrefix(const std::string& name) const;
  // Whole checkpoints whose writer was killed before it said so: older than `step`, not than all of
  // `names`, to which they are added.
  Status AdoptUnlisted(int64_t step, std::vector<std::string>* names) const;
  Status RemoveCheckpoint(const std::string& name);

  FileSystem* fs_;
  std::string folder_, base_name_;
  int keep_;
  bool starts_over_ = false;
};

}  // namespace capstan
