// One control request to every server, until each has answered it.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "ps/messages.h"
#include "ps/transport.h"

namespace capstan {

// A broken connection is no answer: the request is sent again, for ever. That a server is gone for
// good, or was started again, is for the heartbeat to say; whoever hears of it drops the round, and
// answers that come later are forgotten. One thread; `transport` outlives all calls.
class ControlRound {
 public:
  // Sends it. `servers`: addresses. What is not answered within `deadline` is sent again.
  ControlRound(Transport* transport, const std::vector<std::string>& servers,
               const ControlRequest& request, std::chrono::milliseconds deadline);

  // Sends again what is due.
  void Resend(std::chrono::microseconds now);
  // All have answered, or one has refused.
  bool done() const;
  // The refusal, with the server's name.
  Status status() const;
  // [server], once all have answered.
  std::vector<ControlAnswer> answers() const;

 private:
  struct Shared;
  void Send(size_t server);

  Transport* const transport_;
  const std::vector<std::string> servers_;
  const std::string request_;
  const std::chrono::milliseconds deadline_;
  const std::shared_ptr<Shared> shared_;
};

}  // namespace capstan
