// `capstan run FILE`: a job from its start to its end, attached.
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <random>
#include <thread>

#include "base/exit_code.h"
#include "base/file_system.h"
#include "cli/commands.h"
#include "cli/engine_choice.h"
#include "cli/flags.h"
#include "cli/job_flags.h"
#include "cli/job_view.h"
#include "cli/stop_signals.h"
#include "launch/local_ports.h"

namespace capstan {
namespace {

constexpr int kBetweenStatusMs = 200;

// A job that is there, followed until it is over or somebody stops us. Engines are of one thread
// each: one starts and looks, one reads logs, one ends.
class AttachedRun {
 public:
  AttachedRun(const std::string& job, JobView* view, Engine* looks, Engine* reads, Engine* ends)
      : job_(job), view_(view), looks_(looks), reads_(reads), ends_(ends) {}

  // The exit code.
  int Follow() {
    const StatusOr<JobStatus> first = looks_->GetStatus(job_);
    if (first.ok()) view_->ShowStatus(*first);
    std::thread logs([this] { ReadLogs(); });
    std::thread end;
    StatusOr<JobStatus> status = first;
    while (status.ok() && !IsFinal(status->state)) {
      ::poll(nullptr, 0, kBetweenStatusMs);  // a signal ends it early
      if (StopSignal() != 0 && !end.joinable()) {
        view_->Say(fmt::format("SIG{}: the tasks are asked to end; a second one kills them",
                               ::sigabbrev_np(StopSignal())));
        end = std::thread([this] { ends_->Delete(job_).IgnoreError(); });
      }
      status = looks_->GetStatus(job_);
      if (status.ok()) view_->ShowStatus(*status);
    }
    if (end.joinable()) end.join();
    logs.join();
    return Close(status);
  }

 private:
  void ReadLogs() {
    const Status status = reads_->Logs(
        job_, {.follow = true},
        [this](const std::string& task, std::string_view line) { view_->ShowLine(task, line); });
    if (!status.ok() && StopSignal() == 0) view_->Say("logs: " + Message(status));
  }

  int Close(const StatusOr<JobStatus>& status) {
    if (StopSignal() != 0) {
      view_->Say(fmt::format("job {} was stopped", job_));
      return 128 + StopSignal();
    }
    const bool is_gone = !status.ok() && status.status().code() == absl::StatusCode::kNotFound;
    if (is_gone || (status.ok() && status->reason == "deleted")) {
      view_->Say(fmt::format("job {} was deleted", job_));
      return kExitTerminated;
    }
    if (!status.ok()) {
      view_->Say(Message(status.status()));
      return kExitFailure;
    }
    const bool good = status->state == TaskState::kSucceeded;
    view_->Say(fmt::format("job {} {} after {:.1f} s{}", job_, NameOf(status->state), status->age_s,
                           status->reason.empty() ? "" : ": " + status->reason));
    return good ? kExitOk : kExitFailure;
  }

  const std::string job_;
  JobView* const view_;
  Engine *const looks_, *const reads_, *const ends_;
};

int RunJob(FileSystem& fs, const JobFlags& values, const std::string& path, bool quiet) {
  std::random_device random;
  LocalPorts ports(uint64_t{random()} << 32 | random());
  const StatusOr<Plan> plan = PlanFromFlags(fs, values, path, [&ports] { return ports.Choose(); });
  if (!plan.ok()) return Fail("run", plan.status());
  const EngineFlags engine_flags{
      .engine = values.engine, .namespace_name = plan->namespace_name, .cluster = values.cluster};
  std::unique_ptr<Engine> engines[3];
  for (auto& engine : engines) {
    StatusOr<std::unique_ptr<Engine>> made = MakeEngine(engine_flags);
    if (!made.ok()) return Fail("run", made.status());
    engine = *std::move(made);
  }
  const bool terminal = ::isatty(STDOUT_FILENO) == 1;
  JobView view({.command = "run", .terminal = terminal, .quiet = quiet});
  for (const std::string& warning : plan->warnings) view.Say("warning: " + warning);
  CatchStopSignals();
  const Status submitted = engines[0]->Submit(*plan);
  if (!submitted.ok()) return Fail("run", submitted);
  return AttachedRun(plan->spec.name, &view, engines[0].get(), engines[1].get(), engines[2].get())
      .Follow();
}

}  // namespace

int RunCommand(const Args& args) {
  FlagSet flags("run", "a job file, attached: starts it, shows its logs, ends with it");
  JobFlags values{.engine = "local"};
  std::vector<std::string> paths;
  bool quiet = false;
  flags.AddWords("FILE", &paths, "a job file, or a TFJob manifest");
  DeclareJobFlags(&flags, &values);
  flags.Group("output");
  flags.Add("quiet", &quiet, "of the logs only the leading task's lines");
  int exit_code = kExitOk;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  if (paths.size() != 1) {
    return FailUsage("run", Error("{} files, wanted one job file", paths.size()));
  }
  const auto fs = NewLocalFileSystem();
  return RunJob(*fs, values, paths[0], quiet);
}

}  // namespace capstan
