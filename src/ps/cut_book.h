// The cuts that were asked for: until their step comes, until they are written, and a while longer,
// because a request may come again.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "ps/messages.h"
#include "ps/transport.h"

namespace capstan {

// One thread at a time. A cut is known by the prefix of its checkpoint.
class CutBook {
 public:
  // The answer to a cut that was written; null for others.
  const ControlAnswer* Written(const std::string& prefix) const {
    for (const auto& [known, answer] : written_) {
      if (known == prefix) return &answer;
    }
    return nullptr;
  }
  // A cut of `step`, or another request for one that is under way.
  void Add(const std::string& prefix, int64_t step, Reply reply) {
    for (Request& request : requests_) {
      if (request.prefix == prefix) return request.replies.push_back(std::move(reply));
    }
    Request& request = requests_.emplace_back();
    request.prefix = prefix;
    request.step = step;
    request.replies.push_back(std::move(reply));
  }
  // Prefixes of cuts of a step up to `step` that are to be taken now: each is given once.
  std::vector<std::string> TakeDue(int64_t step) {
    std::vector<std::string> due;
    for (Request& request : requests_) {
      if (request.taken || request.step > step) continue;
      request.taken = true;
      due.push_back(request.prefix);
    }
    return due;
  }
  // It is done; returns who waits for it.
  std::vector<Reply> Finish(const std::string& prefix) {
    std::vector<Reply> replies;
    for (Request& request : requests_) {
      if (request.prefix == prefix) replies = std::move(request.replies);
    }
    std::erase_if(requests_, [&](const Request& request) { return request.prefix == prefix; });
    return replies;
  }
  void Remember(const std::string& prefix, const ControlAnswer& answer) {
    written_.emplace_back(prefix, answer);
    if (written_.size() > kRemembered) written_.pop_front();
  }
  // Forgets all; returns who waits.
  std::vector<Reply> Clear() {
    std::vector<Reply> replies;
    for (Request& request : requests_) {
      for (Reply& reply : request.replies) replies.push_back(std::move(reply));
    }
    requests_.clear();
    written_.clear();
    return replies;
  }

 private:
  static constexpr size_t kRemembered = 4;
  struct Request {
    std::string prefix;
    int64_t step = 0;
    bool taken = false;
    std::vector<Reply> replies;
  };
  std::vector<Request> requests_;
  std::deque<std::pair<std::string, ControlAnswer>> written_;
};

}  // namespace capstan
