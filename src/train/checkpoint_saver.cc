#include "train/checkpoint_saver.h"

namespace capstan {

CheckpointSaver::CheckpointSaver(FileSystem* fs, const Model* model, CheckpointFolder* folder,
                                 std::string graph_path)
    : fs_(fs), model_(model), folder_(folder), graph_path_(std::move(graph_path)) {}

CheckpointSaver::~CheckpointSaver() {
  if (thread_.joinable()) thread_.join();
}

void CheckpointSaver::Start(std::unique_ptr<Snapshot> snapshot, const RunState& run, bool is_best) {
  if (thread_.joinable()) thread_.join();
  {
    MutexLock lock(&mutex_);
    writing_ = true;
  }
  thread_ = std::thread([this, snapshot = std::move(snapshot), run, is_best]() mutable {
    Status status = WriteCheckpoint(*fs_, folder_->PrefixOf(run.step), graph_path_, *model_, run,
                                    snapshot.get());
    snapshot.reset();  // training that waits for the snapshot's buffer goes on, also after an error
    if (status.ok()) status = folder_->Commit(run.step, is_best);
    MutexLock lock(&mutex_);
    writing_ = false;
    status_ = status;
  });
}

bool CheckpointSaver::busy() const {
  MutexLock lock(&mutex_);
  return writing_;
}

Status CheckpointSaver::Finish(bool wait) {
  if (!wait && busy()) return OkStatus();
  if (thread_.joinable()) thread_.join();
  MutexLock lock(&mutex_);
  return status_;
}

}  // namespace capstan
