// Jobs as processes of this machine, of this user. A job lives in the process that submitted it
// (`capstan run`), and ends with it; status, logs, suspend, resume and delete work from any other
// one, through the job's folder (see run_folder.h), as long as the job runs; status and logs also
// afterwards, until the job is deleted or run again.
#pragma once

#include <memory>
#include <thread>

#include "launch/engine.h"
#include "launch/local_job.h"

namespace capstan {

class LocalEngine : public Engine {
 public:
  explicit LocalEngine(const LocalJobOptions& options) : options_(options) {}
  // Kills the job that was submitted here.
  ~LocalEngine() override;

  EngineKind kind() const override { return EngineKind::kLocal; }
  // One job per engine.
  Status Submit(const Plan& plan) override;
  StatusOr<JobStatus> GetStatus(const std::string& job) override;
  StatusOr<std::vector<JobStatus>> List() override;
  Status Logs(const std::string& job, const LogOptions& options, const LogSink& sink) override;
  Status Scale(const std::string& job, JobRole role, int replicas) override;
  Status Suspend(const std::string& job) override;
  Status Resume(const std::string& job) override;
  Status Delete(const std::string& job) override;

 private:
  StatusOr<RunFolder> Find(const std::string& job) const;
  Status Order(const std::string& job, const std::string& order);

  const LocalJobOptions options_;
  std::unique_ptr<LocalJob> job_;  // submitted here
  std::string job_name_;
  std::thread thread_;
};

}  // namespace capstan
