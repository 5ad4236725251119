#include "base/child_guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>

// Between a fork of a program with threads and the end, only what is safe in a signal handler may
// be called: no allocation, no locks.
namespace capstan {
namespace {

constexpr int kFirstOtherFile = 3;

int64_t NowMs() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

void Report(int fd, int32_t kind, int32_t value, int32_t step = GuardReport::kFork) {
  const GuardReport report{.kind = kind, .value = value, .step = step};
  // Nobody may be there to read it; SIGPIPE is blocked.
  [[maybe_unused]] const ssize_t written = ::write(fd, &report, sizeof(report));
}

// Closes all files but the standard streams and these three.
void CloseOthers(int keep_a, int keep_b, int keep_c) {
  const int kept[] = {keep_a, keep_b, keep_c};
  const auto is_kept = [&](int fd) {
    for (const int k : kept) {
      if (k == fd) return true;
    }
    return false;
  };
  int highest = kFirstOtherFile;
  for (const int k : kept) highest = k > highest ? k : highest;
  for (int fd = kFirstOtherFile; fd <= highest; ++fd) {
    if (!is_kept(fd)) ::close(fd);
  }
  if (::syscall(SYS_close_range, highest + 1, ~0U, 0) == 0) return;
  const long limit = ::sysconf(_SC_OPEN_MAX);
  for (int fd = highest + 1; fd < (limit > 0 && limit < 65536 ? limit : 65536); ++fd) ::close(fd);
}

[[noreturn]] void RunProgram(const GuardPlan& plan, int start_errors, pid_t guard) {
  ::setsid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != guard) ::_exit(127);
  const auto fail = [&](GuardReport::Step step) {
    const int32_t found[2] = {errno, step};
    [[maybe_unused]] const ssize_t written = ::write(start_errors, found, sizeof(found));
    ::_exit(127);
  };
  if (plan.folder != nullptr && ::chdir(plan.folder) != 0) fail(GuardReport::kEnterFolder);
  if (plan.input >= 0) ::dup2(plan.input, STDIN_FILENO);
  if (plan.output >= 0) ::dup2(plan.output, STDOUT_FILENO);
  if (plan.errors >= 0) ::dup2(plan.errors, STDERR_FILENO);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &standard, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  CloseOthers(start_errors, -1, -1);
  ::execve(plan.path, plan.words, plan.environment);
  fail(GuardReport::kRun);
  ::_exit(127);
}

// Sends SIGKILL to every child of this process; those of a killed one become ours in turn.
bool KillChildren() {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/self/task/%d/children", static_cast<int>(::getpid()));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[4096];
  pid_t pid = 0;
  bool any = false;
  for (;;) {
    const ssize_t bytes = ::read(fd, text, sizeof(text));
    if (bytes <= 0) break;
    for (ssize_t i = 0; i < bytes; ++i) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else {
        if (pid > 1) any = ::kill(pid, SIGKILL) == 0 || any;
        pid = 0;
      }
    }
  }
  ::close(fd);
  return any;
}

// Until nobody is left. What is stuck in the kernel is waited for no longer than a second.
void KillAll() {
  const int64_t deadline = NowMs() + 1000;
  for (;;) {
    KillChildren();
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    if (::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD) return;
    if (NowMs() > deadline) return;
    const timespec pause{.tv_sec = 0, .tv_nsec = 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
}

int ExitCodeOf(int status) {
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// Whether the program has ended; orphans of its own are reaped beside.
bool Reap(pid_t program, int* exit_code) {
  bool ended = false;
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) return ended;
    const pid_t pid = info.si_pid;
    if (pid == 0) return ended;
    // Its number is that of the group: nobody else gets it before we have reaped it.
    if (pid == program) ::kill(-program, SIGKILL);
    int status = 0;
    ::waitpid(pid, &status, 0);
    if (pid == program) {
      *exit_code = ExitCodeOf(status);
      ended = true;
    }
  }
}

struct Guard {
  const GuardPlan& plan;
  pid_t program;
  int64_t kill_at = INT64_MAX;

  // False: we are alone.
  bool TakeOrder() {
    GuardOrder order;
    const ssize_t bytes = ::read(plan.control, &order, sizeof(order));
    if (bytes < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (bytes != sizeof(order)) return false;
    if (order.kind == GuardOrder::kKillAfter) {
      const int64_t at = NowMs() + order.value;
      kill_at = at < kill_at ? at : kill_at;
    } else {
      ::kill(order.kind == GuardOrder::kSignalGroup ? -program : program, order.value);
    }
    return true;
  }

  int TimeLeftMs() const {
    if (kill_at == INT64_MAX) return -1;
    const int64_t left = kill_at - NowMs();
    return left < 0 ? 0 : static_cast<int>(left > 60'000 ? 60'000 : left);
  }

  // The program's exit code.
  int Watch(int children) {
    for (;;) {
      pollfd files[2] = {{.fd = plan.control, .events = POLLIN},
                         {.fd = children, .events = POLLIN}};
      ::poll(files, 2, TimeLeftMs());
      signalfd_siginfo info;
      while (::read(children, &info, sizeof(info)) > 0) {
      }
      int exit_code = 0;
      const bool ended = Reap(program, &exit_code);
      if (ended) {
        KillAll();
        return exit_code;
      }
      const bool alone = (files[0].revents & (POLLIN | POLLHUP)) != 0 && !TakeOrder();
      if (alone || NowMs() >= kill_at) {
        ::kill(-program, SIGKILL);
        ::kill(program, SIGKILL);  // it may not lead its group yet
        KillAll();
        return 128 + SIGKILL;
      }
    }
  }
};

// 0, or the errno of what kept it from running.
int StartProgram(const GuardPlan& plan, pid_t* program, int32_t* step) {
  int errors[2];
  *step = GuardReport::kFork;
  if (::pipe2(errors, O_CLOEXEC) != 0) return errno;
  const pid_t guard = ::getpid();
  *program = ::fork();
  if (*program < 0) return errno;
  if (*program == 0) RunProgram(plan, errors[1], guard);
  ::close(errors[1]);
  int32_t found[2] = {0, 0};
  ssize_t bytes = 0;
  do {
    bytes = ::read(errors[0], found, sizeof(found));
  } while (bytes < 0 && errno == EINTR);
  ::close(errors[0]);
  if (bytes != sizeof(found)) return 0;
  ::waitpid(*program, nullptr, 0);
  *step = found[1];
  return found[0];
}

}  // namespace

void RunGuard(const GuardPlan& plan) {
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, nullptr);
  // A program's orphans fall to us, not to the machine's first process.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  ::prctl(PR_SET_NAME, "capstan-guard");
  ::setsid();
  pid_t program = -1;
  int32_t step = 0;
  const int failure = StartProgram(plan, &program, &step);
  if (failure != 0) {
    Report(plan.reports, GuardReport::kNotStarted, failure, step);
    ::_exit(127);
  }
  Report(plan.reports, GuardReport::kStarted, program);
  // The standard streams too: whoever waits for their end shall not wait for us.
  for (int fd = 0; fd < kFirstOtherFile; ++fd) {
    if (fd != plan.control && fd != plan.reports) ::close(fd);
  }
  CloseOthers(plan.control, plan.reports, -1);
  sigset_t child;
  ::sigemptyset(&child);
  ::sigaddset(&child, SIGCHLD);
  const int children = ::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  Guard guard{.plan = plan, .program = program};
  const int exit_code = guard.Watch(children);
  Report(plan.reports, GuardReport::kEnded, exit_code);
  ::_exit(exit_code);
}

}  // namespace capstan
