// Writes checkpoints on a thread of its own while training goes on.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "model/model.h"
#include "params/snapshot.h"
#include "train/checkpoint_file.h"
#include "train/checkpoint_folder.h"

namespace capstan {

// One owner thread; one checkpoint at a time.
class CheckpointSaver {
 public:
  // All must outlive the saver.
  CheckpointSaver(FileSystem* fs, const Model* model, CheckpointFolder* folder,
                  std::string graph_path);
  // Waits for a checkpoint in progress.
  ~CheckpointSaver();

  // Takes the cut and begins to write. The one before must be done: busy() is false.
  void Start(std::unique_ptr<Snapshot> snapshot, const RunState& run, bool is_best);
  bool busy() const EXCLUDES(mutex_);
  // How the last one ended; waits for it when `wait`. OK while it is being written.
  Status Finish(bool wait) EXCLUDES(mutex_);

 private:
  FileSystem* const fs_;
  const Model* const model_;
  CheckpointFolder* const folder_;
  const std::string graph_path_;
  std::thread thread_;
  mutable Mutex mutex_;
  bool writing_ GUARDED_BY(mutex_) = false;
  Status status_ GUARDED_BY(mutex_);
};

}  // namespace capstan
