// The commands that name a job: submit, status, logs, scale, suspend, resume, delete.
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "base/exit_code.h"
#include "base/file_system.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/engine_choice.h"
#include "cli/flags.h"
#include "cli/job_flags.h"
#include "cli/job_view.h"
#include "cli/stop_signals.h"
#include "launch/status_json.h"

namespace capstan {
namespace {

constexpr char kDefaultEngine[] = "kubernetes";

// A command of the form `capstan VERB [--flag…] JOB [WORD…]`.
class JobCommand {
 public:
  JobCommand(const char* name, const char* summary, const char* words = "NAME",
             const char* words_help = "of the job")
      : flags_(name, summary) {
    values_.engine = kDefaultEngine;
    flags_.AddWords(words, &words_, words_help);
    DeclareEngineFlags(&flags_, &values_);
  }

  FlagSet& flags() { return flags_; }
  const std::vector<std::string>& words() const { return words_; }

  // Parses, wants `least` to `most` words, makes the engine and calls.
  int Run(const Args& args, size_t least, size_t most,
          const std::function<Status(Engine* engine)>& call) {
    int exit_code = kExitOk;
    if (!ParseFlags(&flags_, args, &exit_code)) return exit_code;
    const std::string& name = flags_.command();
    if (words_.size() < least || words_.size() > most) {
      return FailUsage(name, Error("{} words, wanted `capstan {} --help`'s", words_.size(), name));
    }
    const StatusOr<std::unique_ptr<Engine>> engine = MakeEngine(values_);
    if (!engine.ok()) return Fail(name, engine.status());
    const Status status = call(engine->get());
    return status.ok() ? kExitOk : Fail(name, status);
  }

 private:
  FlagSet flags_;
  EngineFlags values_;
  std::vector<std::string> words_;
};

std::string HeadLine(const JobStatus& status) {
  return fmt::format("job {} {}{}", status.name, NameOf(status.state),
                     status.reason.empty() ? "" : ": " + status.reason);
}

void Print(const std::string& line) { std::fputs((line + "\n").c_str(), stdout); }

Status ShowOne(Engine* engine, const std::string& job, bool json) {
  ASSIGN_OR_RETURN(const JobStatus status, engine->GetStatus(job));
  if (json) {
    Print(StatusToJson(status));
    return OkStatus();
  }
  Print(HeadLine(status));
  for (const std::string& line : StatusTable(status)) Print(line);
  return OkStatus();
}

Status ShowAll(Engine* engine, bool json) {
  ASSIGN_OR_RETURN(const std::vector<JobStatus> jobs, engine->List());
  for (const JobStatus& job : jobs) Print(json ? StatusToJson(job) : HeadLine(job));
  if (jobs.empty() && !json) Print(fmt::format("no jobs (engine {})", NameOf(engine->kind())));
  return OkStatus();
}

Status ShowLogs(Engine* engine, const std::string& job, LogOptions options) {
  ASSIGN_OR_RETURN(const JobStatus status, engine->GetStatus(job));
  // Short names too: worker-0 of job clicks is clicks-worker-0.
  for (std::string& name : options.tasks) {
    for (const TaskStatus& task : status.tasks) {
      if (task.name == job + "-" + name) name = task.name;
    }
  }
  CatchStopSignals();
  options.stop = [] { return StopSignal() != 0; };
  JobView view({.command = "logs", .terminal = ::isatty(STDOUT_FILENO) == 1, .table = false});
  view.Learn(status);
  return engine->Logs(job, options, [&view](const std::string& task, std::string_view line) {
    view.ShowLine(task, line);
  });
}

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> parts;
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find(',', start), text.size());
    if (end > start) parts.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

// "worker=6", before or behind the job's name.
Status ScaleByWords(Engine* engine, const std::vector<std::string>& words) {
  const size_t change = words[0].find('=') != std::string::npos ? 0 : 1;
  const std::string& text = words[change];
  const size_t equals = text.find('=');
  if (equals == std::string::npos) {
    return UsageError(Error("'{}', wanted ROLE=NUMBER as worker=6", text));
  }
  int replicas = 0;
  const char* end = text.data() + text.size();
  const auto result = std::from_chars(text.data() + equals + 1, end, replicas);
  if (result.ec != std::errc() || result.ptr != end || replicas < 0) {
    return UsageError(Error("'{}', wanted ROLE=NUMBER as worker=6", text));
  }
  std::vector<std::string> known;
  for (const JobRole role : kJobRoles) {
    if (text.substr(0, equals) == NameOf(role)) {
      return engine->Scale(words[1 - change], role, replicas);
    }
    known.emplace_back(NameOf(role));
  }
  return UsageError(Error("unknown role '{}'{}", text.substr(0, equals),
                          NearestHint(text.substr(0, equals), known)));
}

Status SubmitFile(const JobFlags& values, const std::string& path) {
  if (values.engine == "local") {
    return UsageError(
        Error("a job of processes lives as long as its terminal: use `capstan run "
              "{}`, or --engine=docker",
              path));
  }
  const auto fs = NewLocalFileSystem();
  ASSIGN_OR_RETURN(const Plan plan, PlanFromFlags(*fs, values, path, nullptr));
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                   MakeEngine({.engine = values.engine,
                               .namespace_name = plan.namespace_name,
                               .cluster = values.cluster}));
  for (const std::string& warning : plan.warnings) {
    std::fprintf(stderr, "capstan submit: warning: %s\n", warning.c_str());
  }
  RETURN_IF_ERROR(engine->Submit(plan));
  Print(fmt::format("job {} submitted; `capstan status {} --engine={}`", plan.spec.name,
                    plan.spec.name, values.engine));
  return OkStatus();
}

}  // namespace

int SubmitCommand(const Args& args) {
  FlagSet flags("submit", "starts a job file's job and returns");
  JobFlags values{.engine = kDefaultEngine};
  std::vector<std::string> paths;
  flags.AddWords("FILE", &paths, "a job file, or a TFJob manifest");
  DeclareJobFlags(&flags, &values);
  int exit_code = kExitOk;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  if (paths.size() != 1) {
    return FailUsage("submit", Error("{} files, wanted one job file", paths.size()));
  }
  const Status status = SubmitFile(values, paths[0]);
  return status.ok() ? kExitOk : Fail("submit", status);
}

int StatusCommand(const Args& args) {
  JobCommand command("status", "how a job and its tasks are, or which jobs there are", "[NAME]");
  bool json = false;
  command.flags().Group("output");
  command.flags().Add("json", &json, "JSON instead of a table");
  return command.Run(args, 0, 1, [&](Engine* engine) {
    return command.words().empty() ? ShowAll(engine, json)
                                   : ShowOne(engine, command.words()[0], json);
  });
}

int LogsCommand(const Args& args) {
  JobCommand command("logs", "the lines of a job's tasks");
  LogOptions options;
  std::string tasks;
  command.flags().Group("lines");
  command.flags().Add("follow", &options.follow, "goes on until the job has ended (also -f)");
  command.flags().Add("tasks", &tasks, "names by commas, as worker-0,ps-1; empty: all", {"task"});
  command.flags().Add("tail", &options.tail_lines, "only the last lines of each task; -1: all");
  Args words = args;
  for (std::string& word : words) {
    if (word == "-f") word = "--follow";
  }
  return command.Run(words, 1, 1, [&](Engine* engine) {
    options.tasks = SplitList(tasks);
    return ShowLogs(engine, command.words()[0], options);
  });
}

int ScaleCommand(const Args& args) {
  JobCommand command("scale", "changes how many tasks a role has", "ROLE=NUMBER NAME",
                     "as worker=6, and the job's name");
  return command.Run(args, 2, 2,
                     [&](Engine* engine) { return ScaleByWords(engine, command.words()); });
}

int SuspendCommand(const Args& args) {
  JobCommand command("suspend", "ends a job's tasks, which save, and keeps the job");
  return command.Run(args, 1, 1,
                     [&](Engine* engine) { return engine->Suspend(command.words()[0]); });
}

int ResumeCommand(const Args& args) {
  JobCommand command("resume", "starts a suspended job again");
  return command.Run(args, 1, 1,
                     [&](Engine* engine) { return engine->Resume(command.words()[0]); });
}

int DeleteCommand(const Args& args) {
  JobCommand command("delete", "ends a job and removes all of it but what is on volumes");
  return command.Run(args, 1, 1,
                     [&](Engine* engine) { return engine->Delete(command.words()[0]); });
}

}  // namespace capstan
