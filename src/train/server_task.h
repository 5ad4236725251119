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
  // All must outlive it. `own_folder`: where it saves what it holds when its chief is gone for good
  // and it does not see the chief's folder; "": at the path that the chief's has. `log` may be
  // called from any thread.
  ServerTask(FileSystem* fs, WorkerPool* pool, Clock* clock, Transport* transport,
             const ClusterOptions& options, std::string own_folder,
             std::function<void(const std::string&)> log);
  ~ServerTask() override;

  void Handle(Method method, std::string request, Reply reply) override;

  // Returns when the chief said the end, when `stop` says so, or when nobody came for start_timeout
  // or was heard for peer_timeout; in the last case what it holds is saved first.
  ClusterEnd Run(const std::function<bool()>& stop);

  ParameterServer::Statistics statistics() const EXCLUDES(mutex_);
  // "": for nothing. Thread-safe.
  std::string waits_for() const EXCLUDES(mutex_);

 private:
  // What the chief of one run has set up.
  struct Serving;

  Status Setup(const std::string& request) EXCLUDES(mutex_, setup_mutex_);
  StatusOr<std::shared_ptr<Serving>> NewServing(const SetupMessage& setup);
  ParameterServer::Storage MakeStorage(Serving* serving) const;
  StatusOr<std::string> AnswerHello(const std::string& request) EXCLUDES(mutex_);
  void LookAtMemory();
  std::shared_ptr<Serving> serving() const EXCLUDES(mutex_);
  // One clause: where it is, or why it is nowhere.
  std::string SaveWhatIsHeld(Serving* serving) EXCLUDES(setup_mutex_);

  FileSystem* const fs_;
  WorkerPool* const pool_;
  Clock* const clock_;
  Transport* const transport_;
  const ClusterOptions options_;
  const std::string own_folder_;
  const std::function<void(const std::string&)> log_;
  MemoryWatch memory_watch_;  // of Run's thread

  Mutex setup_mutex_;  // one setup at a time; before mutex_
  mutable Mutex mutex_;
  std::shared_ptr<Serving> serving_ GUARDED_BY(mutex_);
  std::chrono::microseconds last_heard_ GUARDED_BY(mutex_){0};
};

}  // namespace capstan
