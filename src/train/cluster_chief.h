// The chief of a cluster: brings servers up, runs generations, checkpoints, reports, validates, exports, and ends
// the job.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "model/model.h"
#include "ps/coordinator.h"
#include "ps/remote_parameters.h"
#include "ps/transport.h"
#include "train/checkpoint_folder.h"
#include "train/cluster_checkpoint.h"
#include "train/cluster_options.h"
#include "train/scorer.h"
#include "train/session_events.h"

namespace capstan {

// Answers workers from the moment it is made. Handle() is thread-safe; Run() has one thread.
class ClusterChief : public RequestHandler {
 public:
  // All pointers must outlive it.
  ClusterChief(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport, ModelSpec spec,
               const SessionOptions& session, const ClusterOptions& cluster,
               const SessionHooks& hooks);
  ~ClusterChief() override;

  void Handle(Method method, std::string request, Reply reply) override;

  // Until the data is done and everything is written, or the job cannot go on.
  StatusOr<ClusterEnd> Run();

 private:
  StatusOr<std::string> AnswerHello(const std::string& request);
  Status Open();
  Status MeetServers();
  Status GreetServer(const PeerAddress& server);
  // One generation; true: the job is done, false: another generation is needed.
  StatusOr<bool> RunGeneration();
  Status BeginGeneration();
  void ScanBlocks(InputPosition from);
  void StopScanner();
  Status CheckServers();
  Status Report(bool last);
  Status FinishJob();
  void EndServers();

  FileSystem* const fs_;
  WorkerPool* const pool_;
  Clock* const clock_;
  Transport* const transport_;
  ModelSpec spec_;
  const SessionOptions session_;
  const ClusterOptions cluster_;
  const SessionHooks& hooks_;
  const uint64_t job_hash_;

  std::unique_ptr<Model> model_;
  std::unique_ptr<CheckpointFolder> folder_;
  std::unique_ptr<ClusterCheckpoint> checkpoint_;
  std::unique_ptr<RemoteParameters> parameters_;  // for validation
  std::unique_ptr<Scorer> scorer_;
  std::unique_ptr<SessionEvents> events_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<uint64_t> server_incarnations_;

  mutable Mutex mutex_;
  RunId run_ GUARDED_BY(mutex_);

  // Async: finds the blocks of the data ahead of need.
  std::thread scanner_;
  std::atomic<bool> stop_scanner_{false};
  Status scanner_status_ GUARDED_BY(mutex_);
  InputPosition scanned_ GUARDED_BY(mutex_);  // behind the last block that was added
};

}  // namespace capstan
