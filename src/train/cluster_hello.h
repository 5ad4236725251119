// Introducing oneself to peers, and waiting for them with names.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "ps/transport.h"
#include "train/cluster_options.h"

namespace capstan {

// The handshake of this task towards `called_task` ("ps 0").
HelloMessage MakeHello(const ClusterOptions& options, const std::string& called_task,
                       uint64_t model_hash);

// One call, waited for.
StatusOr<std::string> CallAndWait(Transport* transport, const std::string& address, Method method,
                                  std::string request, std::chrono::milliseconds deadline);

struct PeerAddress {
  std::string task, address;
};

// Calls `greet` for each peer until it is OK. kUnavailable and kDeadlineExceeded mean "not yet";
// any other error ends the wait. Every 10 s a log line says who is missing, and all the time the
// hook `waiting`. kDeadlineExceeded with the list after `timeout`; kCancelled when the run is to
// stop.
Status WaitForPeers(const std::vector<PeerAddress>& peers,
                    const std::function<Status(const PeerAddress&)>& greet,
                    std::chrono::milliseconds timeout, Clock* clock, const SessionHooks& hooks);

}  // namespace capstan
