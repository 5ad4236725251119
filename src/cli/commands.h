// One entry per command: `args` are the words behind it; the return value is the exit code. Only
// these functions and main() print and read the environment.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"

namespace capstan {

using Args = std::vector<std::string>;

int TrainCommand(const Args& args);
int EvaluateCommand(const Args& args);
int PredictCommand(const Args& args);
int ExportCommand(const Args& args);
int InspectCommand(const Args& args);
int SynthCommand(const Args& args);
int RenderCommand(const Args& args);
int RunCommand(const Args& args);
int SubmitCommand(const Args& args);
int StatusCommand(const Args& args);
int LogsCommand(const Args& args);
int ScaleCommand(const Args& args);
int SuspendCommand(const Args& args);
int ResumeCommand(const Args& args);
int DeleteCommand(const Args& args);

class FlagSet;

// What every command begins with: parses, prints --help. False: the command ends with *exit_code.
bool ParseFlags(FlagSet* flags, const Args& args, int* exit_code);
// "capstan train: MESSAGE" on stderr; the exit code.
int Fail(const std::string& command, const Status& status);
int FailUsage(const std::string& command, const Status& status);

}  // namespace capstan
