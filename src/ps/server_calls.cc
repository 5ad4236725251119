#include "ps/server_calls.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace capstan {

using std::chrono::microseconds;

struct ServerCalls::Shared {
  Mutex mutex;
  CondVar changed;
  uint64_t epoch GUARDED_BY(mutex) = 0;  // rises with each Interrupt
  bool stopped GUARDED_BY(mutex) = false;
  Statistics statistics GUARDED_BY(mutex);
};

// Where one server stands in a round.
struct ServerCalls::Place {
  bool done = false;
  bool under_way = false;
  std::optional<StatusOr<std::string>> answer;  // has come, is not taken yet
  microseconds send_at{0};                      // when it is neither done nor under way
  microseconds last_heard{0};
};

class ServerCalls::Round : public std::enable_shared_from_this<Round> {
 public:
  uint64_t epoch = 0;
  MakeRequest make_request;
  std::vector<Place> places;  // under Shared's mutex
};

ServerCalls::ServerCalls(const ServerCallsOptions& options, Transport* transport, Clock* clock)
    : options_(options),
      transport_(transport),
      clock_(clock),
      shared_(std::make_shared<Shared>()) {}

ServerCalls::~ServerCalls() = default;

std::string ServerCalls::NameOf(int server) const {
  const std::string name =
      options_.names.empty() ? fmt::format("ps {}", server) : options_.names[server];
  return fmt::format("{} ({})", name, options_.servers[server]);
}

std::shared_ptr<ServerCalls::Round> ServerCalls::Start(MakeRequest make_request) {
  const auto round = std::make_shared<Round>();
  round->make_request = std::move(make_request);
  const microseconds now = clock_->Monotonic();
  {
    MutexLock lock(&shared_->mutex);
    round->epoch = shared_->epoch;
    round->places.resize(options_.servers.size());
    for (Place& place : round->places) place.last_heard = now;
  }
  for (size_t server = 0; server < options_.servers.size(); ++server) {
    Send(round, static_cast<int>(server));
  }
  return round;
}

void ServerCalls::Send(const std::shared_ptr<Round>& round, int server) {
  Request request = round->make_request(server);
  {
    MutexLock lock(&shared_->mutex);
    round->places[server].under_way = true;
    shared_->statistics.bytes_out += static_cast<int64_t>(request.bytes.size());
  }
  transport_->Call(options_.servers[server], request.method, std::move(request.bytes),
                   options_.call_timeout,
                   [shared = shared_, round, server](StatusOr<std::string> answer) {
                     MutexLock lock(&shared->mutex);
                     if (answer.ok()) {
                       shared->statistics.bytes_in += static_cast<int64_t>(answer->size());
                     }
                     Place& place = round->places[server];
                     place.under_way = false;
                     place.answer = std::move(answer);
                     shared->changed.NotifyAll();
                   });
}

Status ServerCalls::Wait(Round* round, const TakeAnswer& take_answer) {
  {
    // While nobody waited nobody asked again: that silence is not the servers'.
    const microseconds now = clock_->Monotonic();
    MutexLock lock(&shared_->mutex);
    for (Place& place : round->places) place.last_heard = std::max(place.last_heard, now);
  }
  for (;;) {
    int ready = -1, due = -1;
    {
      MutexLock lock(&shared_->mutex);
      for (;;) {
        if (shared_->stopped) return MakeStatus(absl::StatusCode::kCancelled, "stopped");
        if (shared_->epoch != round->epoch) {
          return MakeStatus(absl::StatusCode::kAborted, "the generation is over");
        }
        bool all_done = true;
        const microseconds now = clock_->Monotonic();
        std::optional<microseconds> next;  // when a request is due
        for (size_t server = 0; server < round->places.size(); ++server) {
          const Place& place = round->places[server];
          all_done &= place.done;
          if (place.done || place.under_way) continue;
          if (place.answer.has_value()) {
            ready = static_cast<int>(server);
          } else if (place.send_at <= now) {
            due = static_cast<int>(server);
          } else {
            next = std::min(next.value_or(place.send_at), place.send_at);
          }
        }
        if (all_done) return OkStatus();
        if (ready >= 0 || due >= 0) break;
        if (next.has_value()) {
          shared_->changed.WaitFor(&shared_->mutex, *next - now);
        } else {
          shared_->changed.Wait(&shared_->mutex);
        }
      }
    }
    if (ready < 0) {
      Send(round->shared_from_this(), due);
      continue;
    }
    std::optional<StatusOr<std::string>> answer;
    {
      MutexLock lock(&shared_->mutex);
      answer = std::exchange(round->places[ready].answer, std::nullopt);
    }
    ASSIGN_OR_RETURN(const bool done, Take(round, ready, *std::move(answer), take_answer));
    MutexLock lock(&shared_->mutex);
    round->places[ready].done = done;
  }
}

StatusOr<bool> ServerCalls::Take(Round* round, int server, StatusOr<std::string> answer,
                                 const TakeAnswer& take_answer) {
  const microseconds now = clock_->Monotonic();
  const bool heard =
      !absl::IsUnavailable(answer.status()) && !absl::IsDeadlineExceeded(answer.status());
  if (heard) {
    {
      MutexLock lock(&shared_->mutex);
      round->places[server].last_heard = now;
      round->places[server].send_at = now;
    }
    return take_answer(server, std::move(answer));
  }
  MutexLock lock(&shared_->mutex);
  Place& place = round->places[server];
  if (now - place.last_heard >= options_.peer_timeout) {
    return MakeStatus(absl::StatusCode::kUnavailable,
                      fmt::format("{} has not answered for {:.1f} s: {}", NameOf(server),
                                  static_cast<double>((now - place.last_heard).count()) * 1e-6,
                                  Message(answer.status())));
  }
  ++shared_->statistics.retries;
  place.send_at = now + options_.retry_delay;
  return false;
}

void ServerCalls::Interrupt() {
  MutexLock lock(&shared_->mutex);
  ++shared_->epoch;
  shared_->changed.NotifyAll();
}

void ServerCalls::Stop() {
  MutexLock lock(&shared_->mutex);
  shared_->stopped = true;
  shared_->changed.NotifyAll();
}

ServerCalls::Statistics ServerCalls::statistics() const {
  MutexLock lock(&shared_->mutex);
  return shared_->statistics;
}

}  // namespace capstan
