#include "task/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

namespace capstan {
namespace {

constexpr int kTickMs = 100;
constexpr size_t kMaxWaitingCallers = 256;
constexpr int kCannotRun = 127;  // as a shell
constexpr size_t kMaxRefusals = 20;

// The first process of a container inherits everybody's orphans.
void ReapOrphans(pid_t ours) {
  if (::getpid() != 1) return;
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return;
    if (info.si_pid == 0 || info.si_pid == ours) return;
    ::waitpid(info.si_pid, nullptr, 0);
  }
}

}  // namespace

Supervisor::Supervisor(SupervisorOptions options, Socket listener, Clock* clock)
    : options_(std::move(options)),
      listener_(std::move(listener)),
      clock_(clock),
      life_(options_.life, clock->Monotonic()) {}

void Supervisor::StartProgram() {
  StatusOr<std::unique_ptr<ChildProcess>> started = ChildProcess::Start(options_.program);
  if (started.ok()) {
    program_ = *std::move(started);
    return;
  }
  options_.log(Message(started.status()));
  MutexLock lock(&mutex_);
  life_.NoteProgramEnd(kCannotRun, Now());
}

void Supervisor::TakeSignals(int signals) {
  uint8_t numbers[32];
  const ssize_t count = ::read(signals, numbers, sizeof(numbers));
  for (ssize_t i = 0; i < count; ++i) {
    const int number = numbers[i];
    const bool is_stop = number == SIGTERM || number == SIGINT;
    if (is_stop) {
      MutexLock lock(&mutex_);
      life_.NoteStopRequest();
    }
    // A shell in front of the program does not pass these on.
    const bool to_group = is_stop || number == SIGHUP || number == SIGQUIT;
    if (program_ != nullptr) program_->Signal(number, to_group);
  }
}

void Supervisor::TakeCaller() {
  IpAddress from;
  StatusOr<Socket> accepted = Accept(listener_, &from);
  if (!accepted.ok()) return;
  const auto caller = std::make_shared<Socket>(*std::move(accepted));
  answers_.Add(
      [this, caller, from] {
        const Status status =
            AnswerPeer(*caller, from, options_.link, [this](const TaskReport& report) {
              MutexLock lock(&mutex_);
              life_.NoteReport(report, Now());
              return life_.ReportTo(report.from);
            });
        if (status.code() != absl::StatusCode::kPermissionDenied) return;
        MutexLock lock(&mutex_);
        const std::string sentence = Message(status);
        const bool is_known =
            std::find(refusals_.begin(), refusals_.end(), sentence) != refusals_.end();
        if (is_known || refusals_.size() >= kMaxRefusals) return;
        refusals_.push_back(sentence);
        log_.push_back(sentence);
      },
      kMaxWaitingCallers);
}

void Supervisor::Call(const TaskId& peer) {
  const auto& leads = options_.life.leads;
  const auto at = std::find(leads.begin(), leads.end(), peer) - leads.begin();
  calls_.Add([this, peer, host = options_.lead_hosts[static_cast<size_t>(at)]] {
    TaskReport ours;
    {
      MutexLock lock(&mutex_);
      ours = life_.ReportTo(peer);
    }
    const StatusOr<TaskReport> theirs = CallPeer(host, ours, options_.link);
    MutexLock lock(&mutex_);
    if (theirs.ok()) life_.NoteReport(*theirs, Now());
    life_.NoteCalled(peer, theirs.ok(), Now());
    if (theirs.status().code() != absl::StatusCode::kPermissionDenied) return;
    const std::string sentence = peer.Text() + ": " + Message(theirs.status());
    if (std::find(refusals_.begin(), refusals_.end(), sentence) != refusals_.end()) return;
    refusals_.push_back(sentence);
    log_.push_back(sentence);
  });
}

std::optional<int> Supervisor::Advance() {
  TaskLife::Orders orders;
  {
    MutexLock lock(&mutex_);
    orders = life_.Next(Now());
    orders.log.insert(orders.log.end(), log_.begin(), log_.end());
    log_.clear();
  }
  for (const std::string& line : orders.log) options_.log(line);
  for (const TaskId& peer : orders.call) Call(peer);
  if (orders.end_program && !ending_ && program_ != nullptr) {
    ending_ = true;
    program_->Terminate(options_.life.stop_timeout);
  }
  return orders.exit_code;
}

int Supervisor::Run(int signals) {
  StartProgram();
  bool program_runs = program_ != nullptr;
  for (;;) {
    pollfd files[3] = {{.fd = signals, .events = POLLIN},
                       {.fd = listener_.fd(), .events = POLLIN},
                       {.fd = program_runs ? program_->end_fd() : -1, .events = POLLIN}};
    ::poll(files, 3, kTickMs);
    if (files[0].revents != 0) TakeSignals(signals);
    if (files[1].revents != 0) TakeCaller();
    ReapOrphans(program_ == nullptr ? -1 : program_->guard_pid());
    if (program_runs) {
      const std::optional<int> end = program_->Poll();
      if (end.has_value()) {
        program_runs = false;
        MutexLock lock(&mutex_);
        life_.NoteProgramEnd(options_.exit_code_for(*end), Now());
      }
    }
    const std::optional<int> exit_code = Advance();
    if (exit_code.has_value()) return *exit_code;
  }
}

}  // namespace capstan
