#include "ps/in_process_network.h"

#include <algorithm>

namespace capstan {
namespace {

Status Lost(bool timed_out, const std::string& to) {
  return MakeStatus(
      timed_out ? absl::StatusCode::kDeadlineExceeded : absl::StatusCode::kUnavailable,
      fmt::format("call {}: {}", to, timed_out ? "no answer in time" : "the connection was lost"));
}

}  // namespace

struct InProcessNetwork::Call {
  std::string from, to;
  Method method = Method::kHello;
  std::string request;
  Reply done;
  bool handled = false;   // a handler has it (or had)
  bool finished = false;  // `done` was called
};

class InProcessNetwork::Endpoint : public Transport {
 public:
  Endpoint(InProcessNetwork* network, std::string from) : network_(network), from_(from) {}

  void Call(const std::string& address, Method method, std::string request,
            std::chrono::milliseconds deadline, Reply done) override {
    network_->Begin(from_, address, method, std::move(request), std::move(done));
  }

 private:
  InProcessNetwork* const network_;
  const std::string from_;
};

InProcessNetwork::InProcessNetwork(const Adversary& adversary, int threads)
    : adversary_(adversary), random_(adversary.seed) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
}

void InProcessNetwork::Register(const std::string& address, RequestHandler* handler) {
  MutexLock lock(&mutex_);
  handlers_[address] = handler;
  while (handling_[address] > 0) changed_.Wait(&mutex_);
}

std::unique_ptr<Transport> InProcessNetwork::TransportOf(const std::string& from) {
  return std::make_unique<Endpoint>(this, from);
}

void InProcessNetwork::CutLink(const std::string& from, const std::string& to) {
  MutexLock lock(&mutex_);
  cuts_.insert({from, to});
}

void InProcessNetwork::Heal() {
  MutexLock lock(&mutex_);
  cuts_.clear();
}

void InProcessNetwork::BeKind() {
  MutexLock lock(&mutex_);
  adversary_ = {.seed = adversary_.seed};
  for (Event& event : events_) event.not_before = 0;
  changed_.NotifyAll();
}

void InProcessNetwork::Expire() {
  MutexLock lock(&mutex_);
  for (const std::shared_ptr<Call>& call : open_) {
    if (call->handled) Enqueue({.call = call, .is_answer = true, .answer = Lost(true, call->to)});
  }
}

bool InProcessNetwork::Chance(double probability) {
  return probability > 0 && random_.Uniform() < probability;
}

bool InProcessNetwork::IsCut(const Call& call) const {
  return cuts_.contains({call.from, call.to}) || cuts_.contains({"", call.to});
}

void InProcessNetwork::Enqueue(Event event) {
  if (Chance(adversary_.delay)) {
    ++statistics_.delays;
    event.not_before =
        passed_ + 1 + static_cast<int64_t>(random_.Below(std::max(1, adversary_.most_delay)));
  }
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

void InProcessNetwork::Begin(const std::string& from, const std::string& to, Method method,
                             std::string request, Reply done) {
  const auto call = std::make_shared<Call>();
  call->from = from;
  call->to = to;
  call->method = method;
  call->request = std::move(request);
  call->done = std::move(done);
  if (Admit(call)) return;
  call->done(MakeStatus(absl::StatusCode::kCancelled, "the network has stopped"));
}

bool InProcessNetwork::Admit(const std::shared_ptr<Call>& call) {
  MutexLock lock(&mutex_);
  ++statistics_.requests;
  if (stopping_) return false;
  open_.insert(call);
  if (IsCut(*call) || Chance(adversary_.drop_request)) {
    ++statistics_.dropped_requests;
    Enqueue({.call = call, .is_answer = true, .answer = Lost(random_.Below(2) == 0, call->to)});
    return true;
  }
  if (Chance(adversary_.duplicate)) {
    ++statistics_.duplicates;
    Enqueue({.call = call});
  }
  Enqueue({.call = call});
  return true;
}

// A handler's reply, from any thread.
void InProcessNetwork::Answer(const std::shared_ptr<Call>& call, StatusOr<std::string> answer) {
  MutexLock lock(&mutex_);
  if (call->finished || stopping_) return;
  if (IsCut(*call) || Chance(adversary_.drop_answer)) {
    ++statistics_.dropped_answers;
    answer = Lost(random_.Below(2) == 0, call->to);
  }
  Enqueue({.call = call, .is_answer = true, .answer = std::move(answer)});
}

bool InProcessNetwork::Next(Event* event) {
  MutexLock lock(&mutex_);
  for (;;) {
    if (stopping_) return false;
    if (!events_.empty()) break;
    changed_.Wait(&mutex_);
  }
  std::vector<size_t> due;
  size_t soonest = 0;
  for (size_t i = 0; i < events_.size(); ++i) {
    if (events_[i].not_before <= passed_) due.push_back(i);
    if (events_[i].not_before < events_[soonest].not_before) soonest = i;
  }
  // When only delayed ones are left, their time has come.
  const size_t chosen = due.empty()          ? soonest
                        : adversary_.reorder ? due[random_.Below(due.size())]
                                             : due[0];
  *event = std::move(events_[chosen]);
  events_.erase(events_.begin() + static_cast<int64_t>(chosen));
  ++passed_;
  return true;
}

void InProcessNetwork::Loop() {
  Event event;
  while (Next(&event)) Deliver(std::exchange(event, {}));
}

void InProcessNetwork::Deliver(Event event) {
  if (event.is_answer) return Finish(event.call, std::move(event.answer));
  RequestHandler* handler = nullptr;
  const std::shared_ptr<Call> call = event.call;
  {
    MutexLock lock(&mutex_);
    const auto found = handlers_.find(call->to);
    if (found != handlers_.end()) handler = found->second;
    if (handler != nullptr) {
      call->handled = true;
      ++handling_[call->to];
    }
  }
  if (handler == nullptr) {
    return Finish(call, MakeStatus(absl::StatusCode::kUnavailable,
                                   fmt::format("call {}: nobody listens there", call->to)));
  }
  handler->Handle(call->method, call->request,
                  [this, call](StatusOr<std::string> answer) { Answer(call, std::move(answer)); });
  MutexLock lock(&mutex_);
  --handling_[call->to];
  changed_.NotifyAll();
}

void InProcessNetwork::Finish(const std::shared_ptr<Call>& call, StatusOr<std::string> answer) {
  {
    MutexLock lock(&mutex_);
    if (call->finished) return;
    call->finished = true;
    open_.erase(call);
  }
  call->done(std::move(answer));
}

void InProcessNetwork::Stop() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  std::set<std::shared_ptr<Call>> open;
  {
    MutexLock lock(&mutex_);
    events_.clear();
    open.swap(open_);
  }
  for (const std::shared_ptr<Call>& call : open) {
    Finish(call, MakeStatus(absl::StatusCode::kCancelled, "the network has stopped"));
  }
}

InProcessNetwork::Statistics InProcessNetwork::statistics() const {
  MutexLock lock(&mutex_);
  return statistics_;
}

}  // namespace capstan
