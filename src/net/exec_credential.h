// Credentials of a Kubernetes user that a program gives: client.authentication.k8s.io, v1 and
// v1beta1.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/status.h"

namespace capstan {

struct ExecPlugin {
  std::string api_version;  // "client.authentication.k8s.io/v1"
  std::string command;      // with a slash: a path; else searched in PATH
  std::vector<std::string> args;
  std::vector<std::pair<std::string, std::string>> env;  // beside this process's own
  std::string install_hint;                              // shown when the program is not there
  bool interactive = false;                              // may read from our standard input
  // JSON of the cluster for KUBERNETES_EXEC_INFO; "": not wanted.
  std::string cluster_info;
};

struct ExecCredential {
  std::string token;
  std::string cert, key;       // PEM; both or none
  double expires_seconds = 0;  // since 1970; 0: not known, good until it is refused
};

// Runs the program, at most a minute, and reads what it writes. Its standard error is ours. Errors
// name the program; what it wrote to standard output is never shown.
StatusOr<ExecCredential> RunExecPlugin(const ExecPlugin& plugin);

}  // namespace capstan
