#include "base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include "base/child_guard.h"

extern char** environ;

namespace capstan {
namespace {

class Pipe {
 public:
  Pipe() = default;
  ~Pipe() {
    Close(&read_);
    Close(&write_);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  Status Open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return SystemError("make a pipe", errno);
    // Above the standard streams, which may be closed.
    for (int& end : ends) {
      if (end > STDERR_FILENO) continue;
      const int moved = ::fcntl(end, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
      ::close(end);
      end = moved;
    }
    read_ = ends[0];
    write_ = ends[1];
    return OkStatus();
  }
  int read() const { return read_; }
  int write() const { return write_; }
  int TakeRead() { return std::exchange(read_, -1); }
  int TakeWrite() { return std::exchange(write_, -1); }

 private:
  static void Close(int* fd) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
  int read_ = -1, write_ = -1;
};

std::vector<std::string> Environment(const ChildOptions& options) {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = std::strchr(*entry, '=');
    if (equals != nullptr)
      values.emplace(std::string(*entry, static_cast<size_t>(equals - *entry)), equals + 1);
  }
  for (const auto& [name, value] : options.env) values[name] = value;
  std::vector<std::string> lines;
  lines.reserve(values.size());
  for (const auto& [name, value] : values) lines.push_back(name + "=" + value);
  return lines;
}

std::string PathOf(const std::string& name, const std::vector<std::string>& environment) {
  if (name.find('/') != std::string::npos) return name;
  std::string folders = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& line : environment) {
    if (line.starts_with("PATH=")) folders = line.substr(5);
  }
  size_t start = 0;
  while (start <= folders.size()) {
    const size_t end = std::min(folders.find(':', start), folders.size());
    const std::string folder = folders.substr(start, end - start);
    const std::string path = (folder.empty() ? "." : folder) + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
    start = end + 1;
  }
  return "";
}

std::vector<char*> Pointers(std::vector<std::string>* words) {
  std::vector<char*> pointers;
  pointers.reserve(words->size() + 1);
  for (std::string& word : *words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

Status NotStarted(const ChildOptions& options, int error, int step) {
  const std::string why = std::strerror(error);
  if (step == GuardReport::kEnterFolder) {
    return Error("run {} in folder {}: {}", options.command[0], options.working_folder, why);
  }
  return Error("run {}: {}", options.command[0], why);
}

}  // namespace

StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(const ChildOptions& options) {
  if (options.command.empty() || options.command[0].empty()) return Error("run an empty command");
  std::vector<std::string> words = options.command;
  std::vector<std::string> environment = Environment(options);
  const std::string path = PathOf(words[0], environment);
  if (path.empty()) return NotFoundError("run {}: no such program in PATH", words[0]);
  const std::vector<char*> word_pointers = Pointers(&words);
  const std::vector<char*> environment_pointers = Pointers(&environment);

  Pipe control, reports, output, errors;
  RETURN_IF_ERROR(control.Open());
  RETURN_IF_ERROR(reports.Open());
  GuardPlan plan{
      .path = path.c_str(),
      .words = word_pointers.data(),
      .environment = environment_pointers.data(),
      .folder = options.working_folder.empty() ? nullptr : options.working_folder.c_str(),
      .control = control.read(),
      .reports = reports.write()};
  if (options.pipe_output) {
    RETURN_IF_ERROR(output.Open());
    RETURN_IF_ERROR(errors.Open());
    plan.output = output.write();
    plan.errors = errors.write();
    ::fcntl(output.read(), F_SETFL, O_NONBLOCK);
    ::fcntl(errors.read(), F_SETFL, O_NONBLOCK);
  }
  const int null_input = options.null_input ? ::open("/dev/null", O_RDONLY | O_CLOEXEC) : -1;
  plan.input = null_input;

  auto child = std::unique_ptr<ChildProcess>(new ChildProcess);
  // Signals that come in between would run our own handlers in the guard.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  child->guard_ = ::fork();
  const int fork_error = errno;
  if (child->guard_ == 0) RunGuard(plan);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (null_input >= 0) ::close(null_input);
  if (child->guard_ < 0) return SystemError("start a process for " + words[0], fork_error);
  child->control_ = control.TakeWrite();
  child->reports_ = reports.TakeRead();
  child->stdout_ = output.TakeRead();
  child->stderr_ = errors.TakeRead();
  ::close(reports.TakeWrite());

  GuardReport report{.kind = GuardReport::kNotStarted, .value = ECHILD};
  ssize_t bytes = 0;
  do {
    bytes = ::read(child->reports_, &report, sizeof(report));
  } while (bytes < 0 && errno == EINTR);
  if (bytes != sizeof(report) || report.kind != GuardReport::kStarted) {
    return NotStarted(options, report.value, report.step);
  }
  child->pid_ = report.value;
  ::fcntl(child->reports_, F_SETFL, O_NONBLOCK);
  return child;
}

ChildProcess::~ChildProcess() {
  if (control_ >= 0) ::close(control_);  // the guard kills everything
  if (guard_ > 0) {
    while (::waitpid(guard_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  for (const int fd : {reports_, stdout_, stderr_}) {
    if (fd >= 0) ::close(fd);
  }
}

bool ChildProcess::Receive(bool block) {
  while (!exit_code_.has_value()) {
    GuardReport report;
    const ssize_t bytes = ::read(reports_, &report, sizeof(report));
    if (bytes == sizeof(report)) {
      exit_code_ = report.value;
    } else if (bytes < 0 && errno == EINTR) {
      continue;
    } else if (bytes < 0 && errno == EAGAIN) {
      if (!block) return false;
      pollfd file{.fd = reports_, .events = POLLIN};
      ::poll(&file, 1, -1);
    } else {
      exit_code_ = 128 + SIGKILL;  // somebody killed the guard, and with it the program
    }
  }
  return true;
}

std::optional<int> ChildProcess::Poll() {
  Receive(/*block=*/false);
  return exit_code_;
}

int ChildProcess::Wait() {
  Receive(/*block=*/true);
  return *exit_code_;
}

void ChildProcess::Send(int kind, int value) {
  if (exit_code_.has_value()) return;
  const GuardOrder order{.kind = kind, .value = value};
  // The guard may be gone: without SIGPIPE.
  sigset_t pipe_signal, before;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
  if (::write(control_, &order, sizeof(order)) < 0 && errno == EPIPE) {
    const timespec now{};
    ::sigtimedwait(&pipe_signal, nullptr, &now);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void ChildProcess::Signal(int signal, bool group) {
  Send(group ? GuardOrder::kSignalGroup : GuardOrder::kSignalProgram, signal);
}

void ChildProcess::Terminate(std::chrono::milliseconds grace) {
  Signal(SIGTERM);
  Send(GuardOrder::kKillAfter, static_cast<int>(grace.count()));
}

void ChildProcess::Kill() { Send(GuardOrder::kKillAfter, 0); }

}  // namespace capstan
