// The rules of a parameter server: what each request changes, and who is answered then.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ps/cut_book.h"
#include "ps/gradient_sum.h"
#include "ps/parameter_server.h"
#include "ps/pull_keys.h"
#include "ps/push_book.h"

namespace capstan {

// Answers that are due, sent when the mutex is free again.
class Answers {
 public:
  void Add(Reply reply, StatusOr<std::string> answer) {
    // To each its own status: whoever gets one may be another thread.
    if (!answer.ok()) answer = MakeStatus(answer.status().code(), Message(answer.status()));
    answers_.emplace_back(std::move(reply), std::move(answer));
  }
  void Send() {
    for (auto& [reply, answer] : answers_) reply(std::move(answer));
    answers_.clear();
  }

 private:
  std::vector<std::pair<Reply, StatusOr<std::string>>> answers_;
};

// Calls come one at a time, under the server's mutex.
class ServerCore {
 public:
  ServerCore(ParameterServerOptions options, WorkerPool* pool, ParameterServer::Storage storage);

  // `arrival`: by now().
  void Pull(PullRequest request, std::chrono::microseconds arrival, Reply reply, Answers* answers);
  StatusOr<PushAnswer> Push(const PushRequest& request, std::shared_ptr<const std::string> message,
                            Answers* answers);

  // kBegin. True if the generation has yet to be restored, by NewParameters and Serve.
  bool Begin(const ControlRequest& request, Reply reply, Answers* answers);
  StatusOr<std::unique_ptr<LocalParameters>> NewParameters(const std::string& prefix, int64_t* step,
                                                           std::vector<LeaseMark>* marks) const;
  void Serve(const RunId& run, const Status& status, std::unique_ptr<LocalParameters> parameters,
             int64_t step, const std::vector<LeaseMark>& marks, Answers* answers);
  std::shared_ptr<LocalParameters> TakeOldParameters() { return std::move(old_parameters_); }

  // A cut that is to be written.
  struct Cut {
    RunId run;
    std::string key, prefix;
    int64_t step = 0;
    std::vector<LeaseMark> marks;
    std::shared_ptr<LocalParameters> parameters;  // outlives the snapshot
    std::unique_ptr<Snapshot> snapshot;
  };
  void AnswerStatus(const ControlRequest& request, Reply reply, Answers* answers);
  void RequestCut(const ControlRequest& request, Reply reply, Answers* answers);
  void AwaitPart(const ControlRequest& request, Reply reply, Answers* answers);
  void End(const ControlRequest& request, Reply reply, Answers* answers);
  // Cuts since the last call.
  std::vector<Cut> TakeCuts() { return std::exchange(cuts_, {}); }
  void CutWritten(const Cut& cut, const StatusOr<std::string>& part, Answers* answers);
  // Nothing is served any more.
  void Close(Answers* answers);
  // As of now, for no checkpoint. kNotFound: no generation is served.
  StatusOr<Cut> CutNow() const;
  // Of the checkpoint that the generation began with; 0: none.
  int64_t base_step() const { return base_step_; }

  Status CheckRun(const RunId& run, const std::string& who) const;
  void AnswerAll(const Status& status, Answers* answers);
  ControlAnswer State() const;
  ParameterServer::Statistics statistics() const;

  const ParameterServerOptions& options() const { return options_; }
  const ParameterServer::Storage& storage() const { return storage_; }
  const Sharding& sharding() const { return sharding_; }
  const RunId& run() const { return run_; }
  bool ended() const { return ended_; }
  void CountBytesIn(size_t bytes) { bytes_in_ += static_cast<int64_t>(bytes); }
  // Thread-safe.
  std::chrono::microseconds now() const { return clock_->Monotonic(); }
  void CountPushTime(std::chrono::microseconds arrival) { push_times_.Add(now() - arrival); }
  void CountWriting(std::chrono::microseconds time);

 private:
  struct WaitingPull {
    PullRequest request;
    Reply reply;
  };
  std::string name() const { return fmt::format("ps {}", options_.index); }
  bool sync() const { return options_.mode == TrainMode::kSync; }
  static std::string KeyOf(const ControlRequest& request);
  Status CheckIds(const PullRequest& request) const;
  void Wait(PullRequest request, Reply reply, Answers* answers);
  void AnswerPull(const PullRequest& request, std::chrono::microseconds since, Reply reply,
                  Answers* answers);
  void AnswerWaitingPulls(Answers* answers);
  int32_t StoreSlices(std::vector<StoredPart> parts, std::vector<StoredDense> dense);
  Status ApplyReadySteps(Answers* answers);
  Status TakeFinished(int64_t step, Answers* answers);
  Status Apply(std::span<const StoredPart* const> parts, std::span<const StoredDense* const> dense,
               int64_t rates_step);
  Status Break(const Status& status);
  void TakeDueCuts(Answers* answers);

  const ParameterServerOptions options_;
  mutable SystemClock system_clock_;
  Clock* const clock_;
  WorkerPool* const pool_;
  const ParameterServer::Storage storage_;
  const Sharding sharding_;
  const std::vector<DenseSpec> pieces_;
  const std::vector<FloatRange> pull_ranges_;
  PushBook book_;
  GradientSum sum_;
  PulledRows rows_;  // of the step that is being applied

  RunId run_;
  bool closed_ = false, ended_ = false;          // ended: by the chief
  std::shared_ptr<LocalParameters> parameters_;  // null: no generation, or it is being restored
  std::shared_ptr<LocalParameters> old_parameters_;
  Status broken_;  // a step was applied in part only
  int64_t applied_ = 0, base_step_ = 0;
  // Sync: all servers have all of the steps up to it. Until then a step is not applied, though all
  // of it may be here: if a worker is lost between its pushes to two servers, its slices are
  // computed again, from the weights that they were computed from the first time.
  int64_t finished_ = 0;
  PullKeys pull_keys_;
  std::vector<WaitingPull> waiting_;
  std::vector<Reply> begin_replies_;
  ControlAnswer begin_answer_;
  CutBook cut_book_;
  std::vector<Cut> cuts_;
  int64_t pulls_ = 0, pushes_ = 0, dropped_pushes_ = 0, bytes_in_ = 0, bytes_out_ = 0;
  LatencyHistogram pull_times_, push_times_;
  int64_t cut_count_ = 0, parts_written_ = 0;
  double cut_seconds_ = 0, write_seconds_ = 0;
};

}  // namespace capstan
