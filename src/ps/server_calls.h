// One request to each server and the wait for all answers, with retries: what pulls and pushes are
// made of.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "ps/transport.h"

namespace capstan {

struct ServerCallsOptions {
  std::vector<std::string> servers;  // addresses
  std::vector<std::string> names;    // of messages; none: "ps 0", "ps 1", …
  std::chrono::milliseconds call_timeout{10'000};
  std::chrono::milliseconds peer_timeout{60'000};
  std::chrono::milliseconds retry_delay{100};
};

class ServerCalls {
 public:
  // Makes the request to a server; made again for each attempt.
  struct Request {
    Method method = Method::kPull;
    std::string bytes;
  };
  using MakeRequest = std::function<Request(int server)>;
  // Looks at a server's answer, or at an error that is not worth a retry as it is. False: make and
  // send the request once more. An error ends the wait.
  using TakeAnswer = std::function<StatusOr<bool>(int server, StatusOr<std::string> answer)>;

  // `transport` and `clock` outlive it.
  ServerCalls(const ServerCallsOptions& options, Transport* transport, Clock* clock);
  // Answers that come later are dropped.
  ~ServerCalls();

  // Requests under way. Dropping it forgets their answers.
  class Round;
  std::shared_ptr<Round> Start(MakeRequest make_request);
  // All servers' answers, each taken once, on the calling thread. kAborted after Interrupt,
  // kCancelled after Stop, kUnavailable when a server was silent for peer_timeout (its name and
  // address are in the message); else what `take_answer` says.
  Status Wait(Round* round, const TakeAnswer& take_answer);

  // From any thread. Rounds that have been started end with kAborted; with Stop all rounds end with
  // kCancelled.
  void Interrupt();
  void Stop();

  // "ps 1 (10.0.0.2:2222)"
  std::string NameOf(int server) const;

  struct Statistics {
    int64_t bytes_out = 0, bytes_in = 0, retries = 0;
  };
  Statistics statistics() const;

 private:
  struct Shared;
  struct Place;

  void Send(const std::shared_ptr<Round>& round, int server);
  StatusOr<bool> Take(Round* round, int server, StatusOr<std::string> answer,
                      const TakeAnswer& take_answer);

  const ServerCallsOptions options_;
  Transport* const transport_;
  Clock* const clock_;
  const std::shared_ptr<Shared> shared_;  // with callbacks that outlive us
};

}  // namespace capstan
