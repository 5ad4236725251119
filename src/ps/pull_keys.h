// The keys of each worker's last pulls: what its pushes refer to.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>

#include "ps/gradient_sum.h"

namespace capstan {

// One thread at a time.
class PullKeys {
 public:
  // Keeps so many pulls per worker; older ones go (who pushes to one sends its keys again).
  static constexpr size_t kPullsPerWorker = 8;

  // A repeated pull has the same keys: the first stays.
  void Add(int32_t worker, uint64_t pull_id, KeyLists keys) {
    std::deque<Pull>& pulls = pulls_[worker];
    if (Find(worker, pull_id) != nullptr) return;
    if (pulls.size() == kPullsPerWorker) pulls.pop_front();
    pulls.push_back({pull_id, std::make_shared<const KeyLists>(std::move(keys))});
  }

  // Null where it is not known.
  std::shared_ptr<const KeyLists> Find(int32_t worker, uint64_t pull_id) const {
    const auto pulls = pulls_.find(worker);
    if (pulls == pulls_.end()) return nullptr;
    for (const Pull& pull : pulls->second) {
      if (pull.pull_id == pull_id) return pull.keys;
    }
    return nullptr;
  }

  void Clear() { pulls_.clear(); }

 private:
  struct Pull {
    uint64_t pull_id = 0;
    std::shared_ptr<const KeyLists> keys;
  };
  std::map<int32_t, std::deque<Pull>> pulls_;
};

}  // namespace capstan
