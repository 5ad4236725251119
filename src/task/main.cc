// capstan-task: runs a program of somebody else as a task of a job. See docs/capstan_task.md.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "base/clock.h"
#include "base/exit_code.h"
#include "base/file_system.h"
#include "task/supervisor.h"
#include "task/task_flags.h"

namespace capstan {
namespace {

constexpr int kForwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
// Written once, before the handlers are there.
int g_signal_pipe[2] = {-1, -1};

void OnSignal(int signal) {
  const int saved = errno;
  const auto number = static_cast<unsigned char>(signal);
  [[maybe_unused]] const ssize_t written = ::write(g_signal_pipe[1], &number, 1);
  errno = saved;
}

Status CatchSignals() {
  if (::pipe2(g_signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return SystemError("pipe", errno);
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  for (const int signal : kForwarded) ::sigaction(signal, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return OkStatus();
}

StatusOr<std::string> ReadToken(const std::string& path) {
  if (path.empty()) return std::string();
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  ASSIGN_OR_RETURN(std::string token, ReadFile(*fs, path, 4096));
  const auto is_blank = [](char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; };
  while (!token.empty() && is_blank(token.back())) token.pop_back();
  while (!token.empty() && is_blank(token.front())) token.erase(0, 1);
  if (token.empty()) return Error("flag --token_file={}: the file is empty", path);
  return token;
}

StatusOr<SupervisorOptions> OptionsFrom(const TaskFlags& flags) {
  SupervisorOptions options{.life = flags.life, .lead_hosts = flags.lead_hosts};
  options.link.job = flags.job;
  options.link.insecure = flags.insecure;
  ASSIGN_OR_RETURN(options.link.token, ReadToken(flags.token_file));
  options.program = {.command = flags.command, .pipe_output = false, .null_input = false};
  options.exit_code_for = [flags](int code) { return flags.ExitCodeFor(code); };
  const TaskId self = flags.life.self;
  if (flags.fills_place) {
    for (std::string& word : options.program.command) word = FillPlace(word, self);
    options.program.env.emplace_back("CAPSTAN_ROLE", NameOf(self.kind));
    if (const char* config = std::getenv("TF_CONFIG"); config != nullptr) {
      options.program.env.emplace_back("TF_CONFIG", FillPlace(config, self));
    }
  }
  options.log = [name = self.Text()](const std::string& line) {
    std::fprintf(stderr, "capstan-task: %s: %s\n", name.c_str(), line.c_str());
  };
  return options;
}

int FailUsage(const Status& status) {
  std::fprintf(stderr, "capstan-task: %s\n", Message(status).c_str());
  return kExitUsage;
}

// An init container's only work: this program at `path`, on a volume of the pod.
Status CopyTo(const std::string& path) {
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(*fs, "/proc/self/exe"));
  const std::string beside = path + ".new";
  RETURN_IF_ERROR(WriteFileAtomically(*fs, beside, bytes));
  if (::chmod(beside.c_str(), 0755) != 0) return SystemError("chmod " + beside, errno);
  return fs->Rename(beside, path);
}

int Run(const std::vector<std::string>& words) {
  constexpr std::string_view kCopyTo = "--copy_to=";
  if (words.size() == 1 && words[0].starts_with(kCopyTo)) {
    const Status copied = CopyTo(words[0].substr(kCopyTo.size()));
    return copied.ok() ? kExitOk : FailUsage(copied);
  }
  const StatusOr<TaskFlags> flags = ParseTaskFlags(words);
  if (!flags.ok()) return FailUsage(flags.status());
  const StatusOr<SupervisorOptions> options = OptionsFrom(*flags);
  if (!options.ok()) return FailUsage(options.status());
  // Only leading tasks are called.
  const bool leads = std::find(flags->life.leads.begin(), flags->life.leads.end(),
                               flags->life.self) != flags->life.leads.end();
  Socket listener;
  if (leads) {
    StatusOr<Socket> listening =
        Listen(flags->lead_hosts[static_cast<size_t>(flags->life.self.index)].port,
               options->link.token.empty() && !flags->insecure);
    if (!listening.ok()) return FailUsage(listening.status());
    listener = *std::move(listening);
  }
  if (const Status caught = CatchSignals(); !caught.ok()) return FailUsage(caught);
  static SystemClock clock;
  // Never destroyed: a name server that does not answer must not hold up the end.
  auto* supervisor = new Supervisor(*options, std::move(listener), &clock);
  return supervisor->Run(g_signal_pipe[0]);
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  std::_Exit(capstan::Run(std::vector<std::string>(argv + 1, argv + argc)));
}
