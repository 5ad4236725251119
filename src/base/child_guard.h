// The process between us and a program; see child_process.h.
#pragma once

#include <cstdint>

namespace capstan {

// Over the control pipe. A closed pipe kills everything.
struct GuardOrder {
  enum Kind : int32_t { kSignalGroup, kSignalProgram, kKillAfter };
  int32_t kind = kSignalGroup;
  int32_t value = 0;  // signal, or milliseconds
};

// Over the report pipe: first kStarted or kNotStarted, at last kEnded.
struct GuardReport {
  enum Kind : int32_t { kStarted, kNotStarted, kEnded };
  // What kNotStarted could not do.
  enum Step : int32_t { kFork, kEnterFolder, kRun };
  int32_t kind = kStarted;
  int32_t value = 0;  // process id; errno; exit code
  int32_t step = kFork;
};

// All that the guard needs, laid out before the fork: it calls nothing that allocates.
struct GuardPlan {
  const char* path = nullptr;  // of the program's file
  char* const* words = nullptr;
  char* const* environment = nullptr;
  const char* folder = nullptr;  // nullptr: stays
  int control = -1, reports = -1;
  int input = -1, output = -1, errors = -1;  // -1: as they are
};

// In the child of a fork: starts the program and watches over it. Does not return.
[[noreturn]] void RunGuard(const GuardPlan& plan);

}  // namespace capstan
