// capstan: see README.md. This file only chooses the command.
#include <google/protobuf/stubs/logging.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/exit_code.h"
#include "base/nearest.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "launch/job_file.h"

namespace capstan {
namespace {

// What `capstan manual` calls each command with.
constexpr char kMarkdownFlag[] = "--help_markdown";

struct Command {
  const char* name;
  const char* summary;
  int (*run)(const Args& args);
};
constexpr Command kCommands[] = {
    {"train", "trains a model: records in; checkpoints, events and a SavedModel out", TrainCommand},
    {"evaluate", "metrics of a checkpoint or SavedModel on files", EvaluateCommand},
    {"predict", "predictions of a checkpoint or SavedModel for the records of files",
     PredictCommand},
    {"export", "checkpoint to SavedModel", ExportCommand},
    {"inspect", "what is in a TFRecord, checkpoint, SavedModel or event file", InspectCommand},
    {"synth", "generates data with a known best possible AUC", SynthCommand},
    {"run", "a job file, attached: starts it, shows its logs, ends with it", RunCommand},
    {"submit", "starts a job file's job and returns", SubmitCommand},
    {"status", "how a job and its tasks are, or which jobs there are", StatusCommand},
    {"logs", "the lines of a job's tasks", LogsCommand},
    {"scale", "changes how many tasks a role has", ScaleCommand},
    {"suspend", "ends a job's tasks, which save, and keeps the job", SuspendCommand},
    {"resume", "starts a suspended job again", ResumeCommand},
    {"delete", "ends a job and removes all of it but what is on volumes", DeleteCommand},
    {"render", "what a job file becomes: Kubernetes objects, or the tasks of a run", RenderCommand},
};

std::string Usage() {
  std::string text = "usage: capstan COMMAND [--flag=value …]\n\ncommands:\n";
  for (const Command& command : kCommands) {
    text += fmt::format("  {:<10} {}\n", command.name, command.summary);
  }
  return text + "\n`capstan COMMAND --help` lists the flags of a command.\n";
}

int Run(int argc, char** argv) {
  google::protobuf::SetLogHandler(nullptr);  // damage in files is told by our own sentences
  const Args words(argv + 1, argv + argc);
  if (words.empty()) {
    std::fputs(Usage().c_str(), stderr);
    return kExitUsage;
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    std::fputs(Usage().c_str(), stdout);
    return kExitOk;
  }
  if (words[0] == "--version") {
    std::puts("capstan " CAPSTAN_VERSION);
    return kExitOk;
  }
  if (words == Args{"manual", "job_file"}) {  // docs/job_file.md
    std::fputs(JobFilePage().c_str(), stdout);
    return kExitOk;
  }
  if (words == Args{"manual", "job_file_schema"}) {  // docs/job_file.schema.json
    std::fputs(JobFileSchema().c_str(), stdout);
    return kExitOk;
  }
  if (words[0] == "manual") {  // docs/flags.md
    std::puts("# Flags\n\nMade by `capstan manual` from the declarations in `src/cli/`.\n");
    for (const Command& command : kCommands) command.run({kMarkdownFlag});
    return kExitOk;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (words[0] == command.name) return command.run(Args(words.begin() + 1, words.end()));
    names.emplace_back(command.name);
  }
  return FailUsage("", Error("unknown command '{}'{}; `capstan --help` lists all", words[0],
                             NearestHint(words[0], names)));
}

// Bytes of the UTF-8 character that `text` begins with; 0: it is none, or a control character.
size_t CharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return lead >= 0x20 && lead != 0x7f ? 1 : 0;
  const size_t bytes = lead >= 0xf8   ? 0
                       : lead >= 0xf0 ? 4
                       : lead >= 0xe0 ? 3
                       : lead >= 0xc2 ? 2
                                      : 0;
  if (bytes > text.size()) return 0;
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return bytes;
}

// A message may quote what a file holds: bytes that are no text are written as \x1b.
std::string Printable(const std::string& message) {
  std::string text;
  for (size_t i = 0; i < message.size();) {
    const size_t bytes = CharacterBytes(std::string_view(message).substr(i));
    if (bytes == 0) {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(message[i]));
    } else {
      text.append(message, i, bytes);
    }
    i += std::max<size_t>(bytes, 1);
  }
  return text;
}

}  // namespace

int Fail(const std::string& command, const Status& status) {
  std::fprintf(stderr, "capstan%s%s: %s\n", command.empty() ? "" : " ", command.c_str(),
               Printable(Message(status)).c_str());
  return IsUsageError(status) ? kExitUsage : kExitFailure;
}

int FailUsage(const std::string& command, const Status& status) {
  Fail(command, status);
  return kExitUsage;
}

bool ParseFlags(FlagSet* flags, const Args& args, int* exit_code) {
  if (args == Args{kMarkdownFlag}) {
    std::fputs(flags->Markdown().c_str(), stdout);
    *exit_code = kExitOk;
    return false;
  }
  const Status status = flags->Parse(args);
  if (!status.ok()) {
    *exit_code = FailUsage(flags->command(), status);
    return false;
  }
  if (flags->help_asked()) {
    std::fputs(flags->Help().c_str(), stdout);
    *exit_code = kExitOk;
    return false;
  }
  return true;
}

}  // namespace capstan

int main(int argc, char** argv) { return capstan::Run(argc, argv); }
