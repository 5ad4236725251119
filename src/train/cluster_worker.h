// A worker of a cluster: takes leases from the chief, pulls, computes, pushes, reports.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "data/batch_stream.h"
#include "model/model.h"
#include "ps/coordinator.h"
#include "ps/remote_parameters.h"
#include "ps/transport.h"
#include "train/cluster_options.h"
#include "train/slice_trainer.h"
#include "train/trainer.h"
#include "train/training_window.h"

namespace capstan {

// What all trainers of a job must agree on; part of the handshake.
uint64_t JobHash(const ModelSpec& spec, const SessionOptions& session,
                 const ClusterOptions& cluster);

// One thread: Run(). `stop` may be asked from it at any time.
class ClusterWorker {
 public:
  // All pointers must outlive it. `trainer_index`: its number among the workers (a chief of its
  // own: behind them).
  ClusterWorker(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport,
                const ModelSpec& spec, const SessionOptions& session, const ClusterOptions& cluster,
                const SessionHooks& hooks);
  ~ClusterWorker();

  // The model; before anything else.
  Status Open();

  // Until the chief says that all is done. kUnavailable: peers are gone for good.
  StatusOr<ClusterEnd> Run();

  // From any thread: calls that wait for a peer return, and Run does.
  void Stop();

  struct Statistics {
    RemoteParameters::Statistics calls;
    int64_t steps = 0, examples = 0;  // batches, or shares of them; trained by this task
    double compute_seconds = 0, input_seconds = 0, lease_seconds = 0;  // calls have their own
  };
  // From any thread.
  Statistics statistics() const EXCLUDES(statistics_mutex_);
  // Accuracy and AUC of the last examples that this worker trained on. From any thread.
  EvaluationResult TrainingResult() const EXCLUDES(window_mutex_);

 private:
  Status MeetChief();
  StatusOr<LeaseAnswer> AskForWork(bool wants_work);
  Status BeginRun(const LeaseAnswer& answer);
  Status DoSlices(const LeaseAnswer& answer);
  StatusOr<const Batch*> BatchOfStep(int64_t step);
  void AddToWindow(const Batch& batch, int begin, int end, std::span<const float> logits)
      EXCLUDES(window_mutex_);
  Status DoBatch(const LeaseAnswer& answer);
  Status OpenBlock(const BlockLease& block);
  Status ReadNextBatch();
  Status GoToNextBatch();
  void ClearReport();
  // Adds the time since `start` to one of the statistics, but for `not_counted` seconds of it.
  void Spent(double Statistics::*what, std::chrono::microseconds start, double not_counted = 0)
      EXCLUDES(statistics_mutex_);
  void CountStep(int64_t examples) EXCLUDES(statistics_mutex_);
  double CallSeconds() const;  // of all pulls and pushes so far

  FileSystem* const fs_;
  WorkerPool* const pool_;
  Clock* const clock_;
  Transport* const transport_;
  const ModelSpec spec_;
  const SessionOptions session_;
  const ClusterOptions cluster_;
  const SessionHooks& hooks_;
  const int trainer_index_;

  std::unique_ptr<Model> model_;
  std::unique_ptr<RemoteParameters> parameters_;
  std::unique_ptr<SliceTrainer> slice_trainer_;  // sync
  std::unique_ptr<Trainer> trainer_;             // async
  RunId run_;
  LeaseRequest report_;
  uint64_t request_number_ = 0;

  // Sync: the batches of the last few steps; the stream stands behind the newest.
  struct StepBatch {
    int64_t step = 0;
    std::unique_ptr<Batch> batch;
  };
  std::unique_ptr<BatchStream> stream_;
  std::deque<StepBatch> batches_;
  int64_t stream_step_ = 0, last_step_ = -1;

  // Async: the block that is being worked on.
  uint64_t block_ = 0;
  bool has_block_ = false;
  int64_t block_index_ = -1;
  std::unique_ptr<Batch> batch_;
  bool batch_ready_ = false;  // batch_ is the next one to train on
  std::unique_ptr<Batch> next_;
  bool next_read_ = false;   // the one behind it has been asked for …
  bool next_ready_ = false;  // … and there is one: next_
  RemoteParameters::Statistics reported_;

  mutable Mutex statistics_mutex_;
  Statistics statistics_ GUARDED_BY(statistics_mutex_);  // but for calls

  mutable Mutex window_mutex_;
  std::unique_ptr<TrainingWindow> window_ GUARDED_BY(window_mutex_);
};

}  // namespace capstan
