// The cuts that were asked for: until their step comes, until they are written, and a while longer,
// because a request may come again.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ps/transport.h"

namespace capstan {

// One thread at a time. A cut is known by a key of its checkpoint. It is taken (its snapshot is
// there), then its part is written; each of the two is asked for, and answered, by itself.
//
//   asked ──step comes──> taken ──part is written──> written
class CutBook {
 public:
  using Answer = StatusOr<std::string>;

  // The answer, if it is there; else `reply` is kept for Taken. A key that is new is asked for
  // as of `step`.
  std::optional<Answer> AskForCut(const std::string& key, int64_t step, Reply* reply) {
    Cut* cut = Find(key);
    if (cut == nullptr) {
      cut = &cuts_.emplace_back();
      cut->key = key;
      cut->step = step;
    }
    if (!cut->taken.has_value()) cut->cut_replies.push_back(std::move(*reply));
    return cut->taken;
  }
  // The same for its part. kNotFound: no such cut was asked for.
  std::optional<Answer> AskForPart(const std::string& key, Reply* reply) {
    Cut* const cut = Find(key);
    if (cut == nullptr) return Answer(NotFoundError("part of {}: no cut of it is known", key));
    if (!cut->written.has_value()) cut->part_replies.push_back(std::move(*reply));
    return cut->written;
  }
  bool Knows(const std::string& key) { return Find(key) != nullptr; }

  // Keys of cuts of a step up to `step` that are to be taken now: each is given once.
  std::vector<std::string> TakeDue(int64_t step) {
    std::vector<std::string> due;
    for (Cut& cut : cuts_) {
      if (cut.is_due || cut.step > step) continue;
      cut.is_due = true;
      due.push_back(cut.key);
    }
    return due;
  }
  // Each returns who waits for this answer. A cut that could not be taken is forgotten.
  std::vector<Reply> Taken(const std::string& key, const Answer& answer) {
    Cut* const cut = Find(key);
    if (cut == nullptr) return {};
    std::vector<Reply> replies = std::exchange(cut->cut_replies, {});
    if (answer.ok()) {
      cut->taken = answer;
      return replies;
    }
    for (Reply& reply : cut->part_replies) replies.push_back(std::move(reply));
    std::erase_if(cuts_, [&](const Cut& other) { return &other == cut; });
    return replies;
  }
  std::vector<Reply> Written(const std::string& key, const Answer& answer) {
    Cut* const cut = Find(key);
    if (cut == nullptr) return {};
    cut->written = answer;
    std::vector<Reply> replies = std::exchange(cut->part_replies, {});
    if (std::ranges::count_if(cuts_, [](const Cut& c) { return c.written.has_value(); }) >
        kRemembered) {
      cuts_.erase(std::ranges::find_if(cuts_, [](const Cut& c) { return c.written.has_value(); }));
    }
    return replies;
  }
  // Forgets all; returns who waits.
  std::vector<Reply> Clear() {
    std::vector<Reply> replies;
    for (Cut& cut : cuts_) {
      for (Reply& reply : cut.cut_replies) replies.push_back(std::move(reply));
      for (Reply& reply : cut.part_replies) replies.push_back(std::move(reply));
    }
    cuts_.clear();
    return replies;
  }

 private:
  static constexpr int kRemembered = 4;  // that are written
  struct Cut {
    std::string key;
    int64_t step = 0;
    bool is_due = false;  // TakeDue gave it
    std::optional<Answer> taken, written;
    std::vector<Reply> cut_replies, part_replies;
  };
  Cut* Find(const std::string& key) {
    const auto found = std::ranges::find(cuts_, key, &Cut::key);
    return found == cuts_.end() ? nullptr : &*found;
  }

  std::deque<Cut> cuts_;
};

}  // namespace capstan
