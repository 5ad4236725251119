#include "net/exec_credential.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>

#include "net/json_fields-inl.h"

extern char** environ;

namespace capstan {
namespace {

constexpr size_t kMaxOutputBytes = 1 << 20;
constexpr std::chrono::seconds kTimeLimit{60};

std::string ExecInfo(const ExecPlugin& plugin) {
  nlohmann::json info = {{"apiVersion", plugin.api_version},
                         {"kind", "ExecCredential"},
                         {"spec", {{"interactive", plugin.interactive}}}};
  if (!plugin.cluster_info.empty()) {
    info["spec"]["cluster"] = nlohmann::json::parse(plugin.cluster_info, nullptr, false);
  }
  return info.dump();
}

std::vector<std::string> Environment(const ExecPlugin& plugin) {
  std::vector<std::pair<std::string, std::string>> more = plugin.env;
  more.emplace_back("KUBERNETES_EXEC_INFO", ExecInfo(plugin));
  std::vector<std::string> all;
  for (const auto& [name, value] : more) all.push_back(name + "=" + value);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const bool replaced = std::any_of(
        more.begin(), more.end(), [&](const auto& e) { return text.starts_with(e.first + "="); });
    if (!replaced) all.push_back(text);
  }
  return all;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

// Starts the program; its standard output is the pipe's writing end. Not by ChildProcess: it may ask
// its user on our terminal, which a program in a session of its own does not have.
StatusOr<pid_t> Spawn(const ExecPlugin& plugin, const int pipe_ends[2]) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe_ends[1], STDOUT_FILENO);
  if (!plugin.interactive) {
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  }
  std::vector<std::string> words = {plugin.command};
  words.insert(words.end(), plugin.args.begin(), plugin.args.end());
  std::vector<std::string> env = Environment(plugin);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, plugin.command.c_str(), &actions, nullptr,
                                 Pointers(words).data(), Pointers(env).data());
  posix_spawn_file_actions_destroy(&actions);
  if (error == 0) return pid;
  const Status status = SystemError(fmt::format("run {}", plugin.command), error);
  if (plugin.install_hint.empty()) return status;
  return MakeStatus(status.code(), Message(status) + "; " + plugin.install_hint);
}

// All that comes out of `fd`, until its end, too much of it, or the time limit.
Status ReadOutput(int fd, std::string* output) {
  const auto end = std::chrono::steady_clock::now() + kTimeLimit;
  char buffer[4096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                        fmt::format("has not ended within {} s", kTimeLimit.count()));
    }
    pollfd wait{.fd = fd, .events = POLLIN};
    if (poll(&wait, 1, static_cast<int>(left.count())) <= 0) continue;
    const ssize_t size = read(fd, buffer, sizeof(buffer));
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return OkStatus();
    output->append(buffer, static_cast<size_t>(size));
    if (output->size() > kMaxOutputBytes) return Error("wrote more than {} bytes", kMaxOutputBytes);
  }
}

StatusOr<std::string> OutputOf(const ExecPlugin& plugin) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return SystemError("make a pipe", errno);
  const StatusOr<pid_t> pid = Spawn(plugin, ends);
  close(ends[1]);
  std::string output;
  Status status = pid.ok() ? ReadOutput(ends[0], &output) : pid.status();
  close(ends[0]);
  if (!pid.ok()) return status;
  if (!status.ok()) kill(*pid, SIGKILL);
  int end = 0;
  while (waitpid(*pid, &end, 0) < 0 && errno == EINTR) {
  }
  RETURN_IF_ERROR(status);
  if (WIFSIGNALED(end)) return Error("was ended by signal {}", WTERMSIG(end));
  if (WEXITSTATUS(end) != 0) return Error("exited with code {}", WEXITSTATUS(end));
  return output;
}

StatusOr<ExecCredential> Parse(const ExecPlugin& plugin, const std::string& output) {
  const auto json = nlohmann::json::parse(output, nullptr, false);
  if (!json.is_object()) return Error("did not write a JSON object");
  if (TextAt(json, "apiVersion") != plugin.api_version) {
    return Error("answered in version \"{}\", the kubeconfig says {}", TextAt(json, "apiVersion"),
                 plugin.api_version);
  }
  const auto status = json.value("status", nlohmann::json());
  if (!status.is_object()) return Error("wrote no status with a credential");
  ExecCredential credential{.token = TextAt(status, "token"),
                            .cert = TextAt(status, "clientCertificateData"),
                            .key = TextAt(status, "clientKeyData")};
  if (credential.token.empty() && (credential.cert.empty() || credential.key.empty())) {
    return Error("wrote neither a token nor a certificate with its key");
  }
  const std::string expires = TextAt(status, "expirationTimestamp");
  if (!expires.empty()) {
    ASSIGN_OR_RETURN(credential.expires_seconds, ParseRfc3339(expires));
  }
  return credential;
}

}  // namespace

StatusOr<ExecCredential> RunExecPlugin(const ExecPlugin& plugin) {
  const std::string name = "credential plugin " + plugin.command;
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    return Error("{}: apiVersion is \"{}\", known are client.authentication.k8s.io/v1 and v1beta1",
                 name, plugin.api_version);
  }
  const StatusOr<std::string> output = OutputOf(plugin);
  if (!output.ok()) return Annotate(output.status(), name);
  StatusOr<ExecCredential> credential = Parse(plugin, *output);
  if (!credential.ok()) return Annotate(credential.status(), name);
  return credential;
}

}  // namespace capstan
