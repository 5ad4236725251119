#include "train/control_round.h"

#include <algorithm>
#include <utility>

#include "base/mutex.h"

namespace capstan {
namespace {

using std::chrono::microseconds;

constexpr microseconds kBetweenTries{100'000};

}  // namespace

struct ControlRound::Shared {
  struct Place {
    bool under_way = false, answered = false;
    microseconds broken_at{-1};  // when Resend saw that the connection broke
    ControlAnswer answer;
  };
  Mutex mutex;
  std::vector<Place> places GUARDED_BY(mutex);
  Status refusal GUARDED_BY(mutex);
};

ControlRound::ControlRound(Transport* transport, const std::vector<std::string>& servers,
                           const ControlRequest& request, std::chrono::milliseconds deadline)
    : transport_(transport),
      servers_(servers),
      request_(request.Encode()),
      deadline_(deadline),
      shared_(std::make_shared<Shared>()) {
  {
    MutexLock lock(&shared_->mutex);
    shared_->places.resize(servers_.size());
  }
  for (size_t i = 0; i < servers_.size(); ++i) Send(i);
}

void ControlRound::Send(size_t server) {
  {
    MutexLock lock(&shared_->mutex);
    shared_->places[server].under_way = true;
    shared_->places[server].broken_at = microseconds(-1);
  }
  const auto take =
      [shared = shared_, server,
       name = fmt::format("ps {} ({})", server, servers_[server])](StatusOr<std::string> bytes) {
        StatusOr<ControlAnswer> answer =
            bytes.ok() ? ControlAnswer::Decode(*bytes) : StatusOr<ControlAnswer>(bytes.status());
        MutexLock lock(&shared->mutex);
        Shared::Place& place = shared->places[server];
        place.under_way = false;
        if (answer.ok()) {
          place.answered = true;
          place.answer = *std::move(answer);
        } else if (!absl::IsUnavailable(answer.status()) &&
                   !absl::IsDeadlineExceeded(answer.status()) && shared->refusal.ok()) {
          shared->refusal = Annotate(answer.status(), name);
        }
      };
  transport_->Call(servers_[server], Method::kControl, request_, deadline_, take);
}

void ControlRound::Resend(microseconds now) {
  for (size_t i = 0; i < servers_.size(); ++i) {
    bool is_due = false;
    {
      MutexLock lock(&shared_->mutex);
      Shared::Place& place = shared_->places[i];
      if (place.answered || place.under_way || !shared_->refusal.ok()) continue;
      if (place.broken_at.count() < 0) place.broken_at = now;
      is_due = now - place.broken_at >= kBetweenTries;
    }
    if (is_due) Send(i);
  }
}

bool ControlRound::done() const {
  MutexLock lock(&shared_->mutex);
  return !shared_->refusal.ok() || std::ranges::all_of(shared_->places, &Shared::Place::answered);
}

Status ControlRound::status() const {
  MutexLock lock(&shared_->mutex);
  return shared_->refusal;
}

std::vector<ControlAnswer> ControlRound::answers() const {
  MutexLock lock(&shared_->mutex);
  std::vector<ControlAnswer> answers;
  for (const Shared::Place& place : shared_->places) answers.push_back(place.answer);
  return answers;
}

}  // namespace capstan
