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
#include "train/cluster_hello.h"
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

  // The folder of checkpoints, the model; before anything else.
  Status Open();
  // After Open: with the measured features.
  const ModelSpec& spec() const { return spec_; }

  // What reports say of training: accuracy and AUC of a worker's last examples.
  void SetTrainingResult(std::function<EvaluationResult()> result) {
    training_result_ = std::move(result);
  }

  // Until the data is done and everything is written, or the job cannot go on.
  StatusOr<ClusterEnd> Run();

  struct Statistics {
    uint64_t generation = 0;
    int64_t global_step = 0, examples = 0;  // of the model as it is
    int64_t repeated = 0;
    double examples_per_s = 0;  // in the last seconds
    LeaseBoard::Counts leases;
    std::vector<Coordinator::WorkerState> workers;
    int64_t checkpoints = 0, last_checkpoint_step = -1;
    double last_checkpoint_seconds = 0;
    int64_t validation_step = -1;  // -1: none yet
    EvaluationResult validation;
  };
  // From any thread.
  Statistics statistics() const EXCLUDES(mutex_);

  // From any thread: Run returns with this error.
  void Fail(const Status& status) EXCLUDES(mutex_);
  // After Run: who waits for work or asks for it hears at once that the chief has ended.
  void Close() EXCLUDES(mutex_);

 private:
  // A worker's request that is answered when there is work.
  struct Waiting {
    LeaseRequest request;
    Reply reply;
    std::chrono::milliseconds since{0};
  };

  // cluster_chief.cc: peers and generations
  StatusOr<std::string> AnswerHello(const std::string& request);
  void AnswerWaiting(std::chrono::milliseconds now) EXCLUDES(mutex_);
  Status MeetServers(std::chrono::milliseconds timeout);
  Status GreetServer(const PeerAddress& server);
  Status BeginGeneration();
  // True: the job is done or stopped; an error of a lost server: another generation is needed.
  StatusOr<bool> RunGeneration();
  Status CheckServers();
  // False also when it cannot be told: it is not reached.
  bool WasStartedAgain(size_t server);
  // Whether workers may be on their way that have never been here; every 10 s the log names them.
  bool AwaitsWorkers();
  void ScanBlocks(InputPosition from);
  void StopScanner();

  // cluster_chief_progress.cc: reports, checkpoints, the end
  Status ReportIfDue(bool last);
  Status MakeReport(bool last);
  void ShowProgress(std::chrono::microseconds now) EXCLUDES(mutex_);
  Status AdvanceCheckpoint(bool now);
  Status StartCheckpoint(int64_t step);
  Status FinishJob();
  Status WaitForCheckpoint();
  std::string SlowestWorker(double seconds) const;
  void LogCounts();
  void SayGoodbye();

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
  std::string first_prefix_;  // the checkpoint that the run begins with, or ""

  // Progress, of Run()'s thread.
  std::chrono::microseconds start_{0}, last_report_{0}, last_save_{0}, last_poll_{0},
      pause_began_{0}, last_named_{0}, rate_since_{0}, save_began_{0};
  int64_t base_step_ = 0, global_step_ = 0, reported_step_ = 0, saved_step_ = -1;
  int64_t examples_before_ = 0, examples_ = 0, examples_at_report_ = 0, examples_repeated_ = 0,
          rate_examples_ = 0;
  double loss_sum_ = 0, weight_sum_ = 0, best_validation_ = 0;
  int64_t staleness_sum_ = 0, staleness_max_ = 0, pushes_ = 0;
  // [worker]: now, and at the last report
  std::vector<int64_t> worker_examples_, worker_examples_at_report_;
  std::function<EvaluationResult()> training_result_;
  int64_t saves_ = 0;
  bool better_ = false, saved_any_ = false, pausing_ = false;
  LeaseState lease_state_;  // of the checkpoint in progress
  ClusterEnd end_;

  // Async: finds the blocks of the data ahead of need.
  std::thread scanner_;
  std::atomic<bool> stop_scanner_{false};

  mutable Mutex mutex_;
  RunId run_ GUARDED_BY(mutex_);
  std::vector<Waiting> waiting_ GUARDED_BY(mutex_);
  Status scanner_status_ GUARDED_BY(mutex_);
  Status failure_ GUARDED_BY(mutex_);
  bool closed_ GUARDED_BY(mutex_) = false;
  Statistics shown_ GUARDED_BY(mutex_);       // but for generation, leases and workers
  InputPosition scanned_ GUARDED_BY(mutex_);  // behind the last block that was added
  bool scanned_all_ GUARDED_BY(mutex_) = false;
  bool skip_first_block_ GUARDED_BY(mutex_) = false;
};

}  // namespace capstan
