// The declarations of a job file's keys, and what a file may leave open.
#pragma once

#include "launch/job_spec.h"
#include "launch/key_map.h"

namespace capstan {

// What the file says of one role; empty fields are as the top of the file says.
struct RoleKeys {
  bool given = false;
  RoleSpec spec;
  bool retries_given = false;
};

// A whole file as read, before roles take what the top says.
struct JobFileKeys {
  JobSpec job;
  ProgramSpec program;  // of all roles
  int port = 2222;
  FailureTable failures;
  RoleKeys chief, worker, ps, evaluator;
  ServeSpec serve;
  bool serve_given = false;
  TensorBoardSpec tensorboard;
  bool tensorboard_given = false;
};

// Binds every key of a job file to a place in `file`, which must outlive the result's use.
void DeclareJobFile(KeyMap* keys, JobFileKeys* file);

}  // namespace capstan
