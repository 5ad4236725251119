// The command line of capstan-task: docs/capstan_task.md.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "task/peer_link.h"
#include "task/task_life.h"

namespace capstan {

struct TaskFlags {
  std::string job, token_file;
  TaskLifeOptions life;              // self, leads, followers, times
  std::vector<HostPort> lead_hosts;  // of life.leads
  int port = 2221;                   // of every supervisor whose host is given without one
  bool insecure = false;
  // What the job's table makes of the program's exit codes: (first, last, instead).
  struct CodeChange {
    int first = 0, last = 0, instead = 0;
  };
  std::vector<CodeChange> codes;
  // The role and index were found by --tasks: the command and TF_CONFIG still ask for them.
  bool fills_place = false;
  std::vector<std::string> command;

  int ExitCodeFor(int exit_code) const;
};

// `words` without the program's name. kInvalidArgument names the flag and what was wanted.
StatusOr<TaskFlags> ParseTaskFlags(const std::vector<std::string>& words);

// {job_name} and {task_index} as words of a command or of TF_CONFIG ask for them.
std::string FillPlace(std::string text, const TaskId& self);

}  // namespace capstan
