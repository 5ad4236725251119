#include "launch/local_job.h"

#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "base/file_system.h"
#include "launch/status_json.h"
#include "launch/step_line.h"

namespace capstan {
namespace {

constexpr int kTickMs = 50;
constexpr std::chrono::milliseconds kBetweenStatusFiles{500};
constexpr int kCannotRun = 127;  // as a shell

bool HasAny(const std::vector<std::string>& words, std::initializer_list<std::string_view> flags) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return std::any_of(flags.begin(), flags.end(), [&](std::string_view flag) {
      return word == flag || word.starts_with(std::string(flag) + "=");
    });
  });
}

StatusOr<std::string> NewToken() {
  uint8_t bytes[32];
  if (::getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes)) {
    return SystemError("get randomness", errno);
  }
  std::string token;
  for (const uint8_t byte : bytes) token += fmt::format("{:02x}", byte);
  return token;
}

bool HasEnv(const TaskPlan& task, std::string_view name) {
  return std::any_of(task.env.begin(), task.env.end(),
                     [&](const EnvVar& var) { return var.name == name; });
}

}  // namespace

LocalJob::LocalJob(const Plan& plan, const LocalJobOptions& options)
    : options_(options), run_(plan, options.clock->Monotonic()) {}

LocalJob::~LocalJob() = default;

StatusOr<std::unique_ptr<LocalJob>> LocalJob::Make(const Plan& plan,
                                                   const LocalJobOptions& options) {
  auto job = std::unique_ptr<LocalJob>(new LocalJob(plan, options));
  ASSIGN_OR_RETURN(job->lock_, RunFolderLock::Take(options.run_root, plan.spec.name));
  Plan with_token = plan;
  RETURN_IF_ERROR(job->PrepareToken(&with_token));
  RETURN_IF_ERROR(job->PrepareTasks(with_token));
  ASSIGN_OR_RETURN(job->control_, ControlSocket::Listen(job->lock_->folder().control()));
  job->Publish();
  return job;
}

// Tasks of capstan on a machine that others use too: a token that nobody else can read, unless the
// file says otherwise.
Status LocalJob::PrepareToken(Plan* plan) {
  if (plan->has_token || !plan->spec.security.token || plan->spec.task_count() < 2) {
    return OkStatus();
  }
  const std::string path = lock_->folder().token();
  bool is_used = false;
  for (RolePlan& role : plan->roles) {
    for (TaskPlan& task : role.tasks) {
      std::vector<std::string>* words = task.args.empty() ? &task.command : &task.args;
      if (!role.is_capstan ||
          HasAny(task.command, {"--auth_token_file", "--tls_cert", "--insecure"}) ||
          HasAny(task.args, {"--auth_token_file", "--tls_cert", "--insecure"})) {
        continue;
      }
      words->push_back("--auth_token_file=" + path);
      is_used = true;
    }
  }
  if (!is_used) return OkStatus();
  ASSIGN_OR_RETURN(const std::string token, NewToken());
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  // The folder is private already.
  RETURN_IF_ERROR(WriteFileAtomically(*fs, path, token + "\n"));
  return ::chmod(path.c_str(), 0600) == 0 ? OkStatus() : SystemError("chmod " + path, errno);
}

Status LocalJob::PrepareTasks(const Plan& plan) {
  size_t gpu = 0;
  int gpus_wanted = 0;
  for (const RolePlan& role : plan.roles) {
    gpus_wanted += role.spec.program.resources.gpus * role.spec.replicas;
  }
  if (gpus_wanted > static_cast<int>(options_.gpus.size())) {
    return Error("job {} wants {} gpus, this machine has {}", plan.spec.name, gpus_wanted,
                 options_.gpus.size());
  }
  for (const RolePlan& role : plan.roles) {
    for (const TaskPlan& task : role.tasks) {
      Task made{.plan = task};
      made.program.command = task.command;
      made.program.command.insert(made.program.command.end(), task.args.begin(), task.args.end());
      if (task.command.empty()) {
        return Error(
            "{} has no command: what an image runs by itself is no process of this machine",
            NameOf(role.spec.role));
      }
      if (task.command[0] == "capstan") made.program.command[0] = options_.capstan_path;
      made.program.working_folder = task.working_dir;
      for (const EnvVar& var : task.env) made.program.env.emplace_back(var.name, var.value);
      // Python keeps back what it prints to a pipe.
      if (!HasEnv(task, "PYTHONUNBUFFERED")) made.program.env.emplace_back("PYTHONUNBUFFERED", "1");
      if (gpus_wanted > 0 && !HasEnv(task, "CUDA_VISIBLE_DEVICES")) {
        std::string devices;
        for (int i = 0; i < role.spec.program.resources.gpus; ++i) {
          devices += (i == 0 ? "" : ",") + options_.gpus[gpu++];
        }
        made.program.env.emplace_back("CUDA_VISIBLE_DEVICES", devices);
      }
      made.log = std::make_unique<TaskLogWriter>(lock_->folder().LogOf(task.name));
      tasks_.push_back(std::move(made));
    }
  }
  return OkStatus();
}

void LocalJob::Act(const JobRun::Action& action) {
  Task& task = tasks_[static_cast<size_t>(action.task)];
  if (action.kind == JobRun::Action::Kind::kTerminate) {
    if (task.process != nullptr) task.process->Terminate(action.grace);
    return;
  }
  StatusOr<std::unique_ptr<ChildProcess>> started = ChildProcess::Start(task.program);
  if (!started.ok()) {
    task.log->Append("capstan: " + Message(started.status()));
    run_.NoteEnded(action.task, kCannotRun, Now(), "cannot start: " + Message(started.status()));
    return;
  }
  task.process = *std::move(started);
  task.out_open = task.err_open = true;
  run_.NoteStarted(action.task, Now());
}

void LocalJob::ReadOutput(int number, int fd, LineCutter* lines, bool* open) {
  Task& task = tasks_[static_cast<size_t>(number)];
  const auto sink = [&](std::string_view line) {
    task.log->Append(line);
    StepLine found;
    if (ParseStepLine(line, &found)) run_.NoteStep(number, found.step, found.examples_per_second);
  };
  char buffer[1 << 16];
  // A task that writes without end must not keep the others waiting.
  constexpr int kMaxReads = 16;
  for (int i = 0; i < kMaxReads; ++i) {
    const ssize_t bytes = ::read(fd, buffer, sizeof(buffer));
    if (bytes < 0) return;
    if (bytes == 0) {
      *open = false;
      return;
    }
    lines->Add({buffer, static_cast<size_t>(bytes)}, sink);
  }
}

void LocalJob::TakeEnd(int number) {
  Task& task = tasks_[static_cast<size_t>(number)];
  const std::optional<int> exit_code = task.process->Poll();
  if (!exit_code.has_value()) return;
  // Nobody writes any more: what is in the pipes is all.
  while (task.out_open) ReadOutput(number, task.process->stdout_fd(), &task.out, &task.out_open);
  while (task.err_open) ReadOutput(number, task.process->stderr_fd(), &task.err, &task.err_open);
  const auto sink = [&](std::string_view line) {
    if (!line.empty()) task.log->Append(line);
  };
  task.out.Finish(sink);
  task.err.Finish(sink);
  task.process.reset();
  run_.NoteEnded(number, *exit_code, Now());
}

void LocalJob::Wait() {
  std::vector<pollfd> files = {{.fd = control_->fd(), .events = POLLIN}};
  for (const Task& task : tasks_) {
    if (task.process == nullptr) continue;
    if (task.out_open) files.push_back({.fd = task.process->stdout_fd(), .events = POLLIN});
    if (task.err_open) files.push_back({.fd = task.process->stderr_fd(), .events = POLLIN});
    files.push_back({.fd = task.process->end_fd(), .events = POLLIN});
  }
  ::poll(files.data(), files.size(), kTickMs);
  if (files[0].revents != 0) {
    control_->Answer([this](const std::string& question) { return Answer(question); });
  }
}

std::string LocalJob::Answer(const std::string& question) {
  if (question == "status") return StatusToJson(run_.GetStatus(Now()));
  Status status = OkStatus();
  if (question == "suspend") {
    run_.Suspend();
  } else if (question == "resume") {
    status = run_.Resume(Now());
  } else if (question.starts_with("stop ")) {
    run_.Stop(question.substr(5));
  } else {
    status = Error("unknown question '{}'", question);
  }
  return status.ok() ? "ok" : Message(status);
}

void LocalJob::Publish() {
  JobStatus status = run_.GetStatus(Now());
  bool is_new = Now() - published_at_ >= kBetweenStatusFiles;
  {
    MutexLock lock(&mutex_);
    is_new |= last_.state != status.state || last_.tasks.empty();
    last_ = status;
  }
  if (!is_new) return;
  published_at_ = Now();
  // A full disk loses the status, not the job.
  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  WriteFileAtomically(*fs, lock_->folder().status(), StatusToJson(status)).IgnoreError();
}

JobStatus LocalJob::LastStatus() const {
  MutexLock lock(&mutex_);
  return last_;
}

void LocalJob::Run() {
  while (!run_.over() && !abort_) {
    for (const JobRun::Action& action : run_.Next(Now())) Act(action);
    Publish();
    if (run_.over()) break;
    Wait();
    for (size_t i = 0; i < tasks_.size(); ++i) {
      Task& task = tasks_[i];
      const int number = static_cast<int>(i);
      if (task.process == nullptr) continue;
      if (task.out_open) ReadOutput(number, task.process->stdout_fd(), &task.out, &task.out_open);
      if (task.err_open) ReadOutput(number, task.process->stderr_fd(), &task.err, &task.err_open);
      TakeEnd(number);
    }
  }
  if (abort_) run_.Stop("killed");
  for (Task& task : tasks_) {
    if (task.process != nullptr) task.process->Kill();
  }
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].process == nullptr) continue;
    tasks_[i].process->Wait();
    TakeEnd(static_cast<int>(i));
  }
  published_at_ = JobRun::Time(0);
  Publish();
  control_.reset();
  lock_.reset();
}

}  // namespace capstan
