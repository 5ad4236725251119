// A parameter server of a cluster: waits for the chief, serves, ends when it is told to.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "ps/parameter_server.h"
#include "ps/setup_message.h"
#include "ps/transport.h"
#include "train/cluster_options.h"
#include "train/memory_watch.h"

namespace capstan {

// Answers requests from the moment it is made. Thread-safe.
class ServerTask : public RequestHandler {
 public:
  // All must outlive it. `log` may be called from any thread.
  ServerTask(FileSystem* fs, WorkerPool* pool, Clock* clock, const ClusterOptions& options,
             std::function<void(const std::string&)> log);
  ~ServerTask() override;

  void Handle(Method method, std::string request, Reply reply) override;

  // Returns when the chief said the end, when `stop` says so, or when nobody came for start_timeout
  // or was heard for peer_timeout.
  ClusterEnd Run(const std::function<bool()>& stop);

  ParameterServer::Statistics statistics() const EXCLUDES(mutex_);
  // "": for nothing. Thread-safe.
  std::string waits_for() const EXCLUDES(mutex_);

 private:
  Status Setup(const std::string& request) EXCLUDES(mutex_);
  StatusOr<std::string> AnswerHello(const std::string& request) EXCLUDES(mutex_);
  std::shared_ptr<ParameterServer> server() const EXCLUDES(mutex_);
  void LookAtMemory();
  ParameterServer::Storage MakeStorage(std::shared_ptr<const Sharding> sharding,
                                       std::vector<TableSpec> tables,
                                       std::vector<DenseSpec> pieces);

  FileSystem* const fs_;
  WorkerPool* const pool_;
  Clock* const clock_;
  const ClusterOptions options_;
  const std::function<void(const std::string&)> log_;
  MemoryWatch memory_watch_;  // of Run's thread

  mutable Mutex mutex_;
  std::shared_ptr<ParameterServer> server_ GUARDED_BY(mutex_);
  uint64_t run_ GUARDED_BY(mutex_) = 0;
  std::chrono::microseconds last_heard_ GUARDED_BY(mutex_){0};
};

}  // namespace capstan
