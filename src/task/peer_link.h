// One exchange of reports with another supervisor: see task_report.h for the lines.
#pragma once

#include <functional>
#include <string>

#include "base/status.h"
#include "task/socket.h"
#include "task/task_report.h"

namespace capstan {

struct LinkOptions {
  std::string job;
  std::string token;  // "": reports are taken from loopback only, unless `insecure`
  bool insecure = false;
  std::chrono::milliseconds timeout{5000};  // of a whole exchange
};

// "host:port", "[v6]:port".
struct HostPort {
  std::string host;
  int port = 0;
};
StatusOr<HostPort> ParseHostPort(const std::string& text);

// Calls: looks the name up anew, says `report`, gives what the other says. Thread-safe.
StatusOr<TaskReport> CallPeer(const HostPort& peer, const TaskReport& report,
                              const LinkOptions& options);

// The other end: hears a report, answers with what `answer` makes of it. A caller that is not of
// this job gets no answer, and the status says why.
Status AnswerPeer(const Socket& caller, const IpAddress& from, const LinkOptions& options,
                  const std::function<TaskReport(const TaskReport&)>& answer);

}  // namespace capstan
