#include "train/cluster_hello.h"

#include <fmt/format.h>

#include <thread>

#include "base/mutex.h"
#include "ps/wire.h"
#include "tensor/instruction_set.h"

namespace capstan {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBetweenTries{200};
constexpr milliseconds kBetweenLogs{10'000};

// What a call leaves behind, alive until both sides are done with it.
struct Pending {
  Mutex mutex;
  CondVar answered;
  bool done GUARDED_BY(mutex) = false;
  StatusOr<std::string> answer GUARDED_BY(mutex) = std::string();
};

bool IsNotYet(const Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status);
}

}  // namespace

HelloMessage MakeHello(const ClusterOptions& options, const std::string& called_task,
                       uint64_t model_hash) {
  HelloMessage hello;
  hello.wire_version = kWireVersion;
  hello.task = options.spec.task_name();
  hello.called_task = called_task;
  hello.ps_hosts = fmt::format("{}", fmt::join(options.spec.ps, ","));
  hello.worker_hosts = fmt::format("{}", fmt::join(options.spec.workers, ","));
  hello.chief = options.spec.chief;
  hello.model_hash = model_hash;
  hello.instruction_set = InstructionSetName();
  hello.incarnation = options.incarnation;
  return hello;
}

StatusOr<std::string> CallAndWait(Transport* transport, const std::string& address, Method method,
                                  std::string request, milliseconds deadline) {
  const auto pending = std::make_shared<Pending>();
  transport->Call(address, method, std::move(request), deadline,
                  [pending](StatusOr<std::string> answer) {
                    MutexLock lock(&pending->mutex);
                    pending->answer = std::move(answer);
                    pending->done = true;
                    pending->answered.NotifyAll();
                  });
  MutexLock lock(&pending->mutex);
  while (!pending->done) pending->answered.Wait(&pending->mutex);
  return std::move(pending->answer);
}

Status WaitForPeers(const std::vector<PeerAddress>& peers,
                    const std::function<Status(const PeerAddress&)>& greet, milliseconds timeout,
                    Clock* clock, const SessionHooks& hooks) {
  const auto start = clock->Monotonic();
  auto last_log = start;
  std::vector<bool> met(peers.size(), false);
  for (;;) {
    std::vector<std::string> missing;
    for (size_t i = 0; i < peers.size(); ++i) {
      if (met[i]) continue;
      const Status status = greet(peers[i]);
      if (status.ok()) {
        met[i] = true;
      } else if (IsNotYet(status)) {
        missing.push_back(peers[i].task + " (" + peers[i].address + ")");
      } else {
        return status;
      }
    }
    if (missing.empty()) {
      hooks.waiting("");
      return OkStatus();
    }
    if (hooks.stop_requested())
      return MakeStatus(absl::StatusCode::kCancelled, "stopped while waiting for peers");
    const auto now = clock->Monotonic();
    const double waited_s = std::chrono::duration<double>(now - start).count();
    const std::string waiting =
        fmt::format("waiting since {:.0f} s for {}", waited_s, fmt::join(missing, ", "));
    hooks.waiting(waiting);
    if (now - start >= timeout) {
      return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                        fmt::format("waited {:.0f} s for {}", waited_s, fmt::join(missing, ", ")));
    }
    if (now - last_log >= kBetweenLogs) {
      last_log = now;
      hooks.log(waiting);
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

}  // namespace capstan
