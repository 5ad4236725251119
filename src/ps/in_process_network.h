// A network inside one process, for tests: requests go to handlers by address, on threads of its
// own, and a seeded adversary drops, delays, duplicates and reorders what passes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "base/random.h"
#include "ps/transport.h"

namespace capstan {

// Probabilities, of each request or answer.
struct Adversary {
  uint64_t seed = 1;
  double drop_request = 0;  // it never comes
  double drop_answer = 0;   // it was handled, but the caller hears of a failure
  double duplicate = 0;     // the request comes twice; the first answer counts
  double delay = 0;         // other messages pass first …
  int most_delay = 20;      // … at most so many
  bool reorder = false;     // any message that is not delayed may be the next
};

// Thread-safe. Time is the number of messages that have passed: a dropped message is told to the
// caller as kDeadlineExceeded or kUnavailable, as soon as its turn comes. A request that the handler
// answers late waits as long as that takes; deadlines in time are kept only by Expire. Outlives the
// handlers' replies.
class InProcessNetwork {
 public:
  explicit InProcessNetwork(const Adversary& adversary = {}, int threads = 1);
  ~InProcessNetwork() { Stop(); }
  InProcessNetwork(const InProcessNetwork&) = delete;
  InProcessNetwork& operator=(const InProcessNetwork&) = delete;

  // The handler at an address; null: nobody (kUnavailable). Returns when no request is being handled
  // by the old one, whose late replies are still delivered.
  void Register(const std::string& address, RequestHandler* handler) EXCLUDES(mutex_);

  // The transport of the task called `from`; the network outlives it.
  std::unique_ptr<Transport> TransportOf(const std::string& from);

  // Requests and answers between the two are dropped until Heal. "" as `from`: of all.
  void CutLink(const std::string& from, const std::string& to) EXCLUDES(mutex_);
  void Heal() EXCLUDES(mutex_);
  // From now on nothing is dropped, delayed, duplicated or reordered.
  void BeKind() EXCLUDES(mutex_);
  // All calls whose handlers have not answered yet end with kDeadlineExceeded.
  void Expire() EXCLUDES(mutex_);

  // Ends all calls with kCancelled; waits for handlers that run.
  void Stop() EXCLUDES(mutex_);

  struct Statistics {
    int64_t requests = 0, dropped_requests = 0, dropped_answers = 0, duplicates = 0, delays = 0;
  };
  Statistics statistics() const EXCLUDES(mutex_);

 private:
  class Endpoint;
  struct Call;
  // Something that happens when its turn comes: a request arrives, or an answer.
  struct Event {
    std::shared_ptr<Call> call;
    bool is_answer = false;
    StatusOr<std::string> answer = std::string();
    int64_t not_before = 0;  // of passed_
  };

  void Begin(const std::string& from, const std::string& to, Method method, std::string request,
             Reply done) EXCLUDES(mutex_);
  // False: the network has stopped.
  bool Admit(const std::shared_ptr<Call>& call) EXCLUDES(mutex_);
  void Answer(const std::shared_ptr<Call>& call, StatusOr<std::string> answer) EXCLUDES(mutex_);
  void Enqueue(Event event) REQUIRES(mutex_);
  bool Chance(double probability) REQUIRES(mutex_);
  bool IsCut(const Call& call) const REQUIRES(mutex_);
  // The next event whose turn it is. False: the network stops.
  bool Next(Event* event) EXCLUDES(mutex_);
  void Loop() EXCLUDES(mutex_);
  void Deliver(Event event) EXCLUDES(mutex_);
  void Finish(const std::shared_ptr<Call>& call, StatusOr<std::string> answer) EXCLUDES(mutex_);

  mutable Mutex mutex_;
  CondVar changed_;
  Adversary adversary_ GUARDED_BY(mutex_);
  RandomStream random_ GUARDED_BY(mutex_);
  std::map<std::string, RequestHandler*> handlers_ GUARDED_BY(mutex_);
  std::map<std::string, int> handling_ GUARDED_BY(mutex_);  // requests, by address
  std::set<std::pair<std::string, std::string>> cuts_ GUARDED_BY(mutex_);
  std::vector<Event> events_ GUARDED_BY(mutex_);
  std::set<std::shared_ptr<Call>> open_ GUARDED_BY(mutex_);  // not answered to the caller
  int64_t passed_ GUARDED_BY(mutex_) = 0;
  bool stopping_ GUARDED_BY(mutex_) = false;
  Statistics statistics_ GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

}  // namespace capstan
