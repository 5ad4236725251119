#include "ps/pull_plan.h"

#include <algorithm>

namespace capstan {

void PullPlan::Build(const Sharding& sharding, std::span<const TableKeys> keys) {
  const int servers = sharding.servers();
  sizes_.resize(keys.size());
  counts_.resize(keys.size());
  parts_.resize(servers);
  for (auto& parts : parts_) parts.resize(keys.size());
  for (size_t t = 0; t < keys.size(); ++t) {
    const std::span<const uint64_t> table = keys[t].keys;
    sizes_[t] = table.size();
    counts_[t].assign(keys[t].counts.begin(), keys[t].counts.end());
    entries_.resize(table.size());
    for (size_t i = 0; i < table.size(); ++i) {
      const int server = servers == 1 ? 0 : sharding.ServerOf(static_cast<int>(t), table[i]);
      entries_[i] = {table[i], static_cast<uint32_t>(i), static_cast<uint32_t>(server)};
    }
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    for (auto& parts : parts_) {
      parts[t].keys.clear();
      parts[t].places.clear();
    }
    for (const Entry& entry : entries_) {
      Part& part = parts_[entry.server][t];
      part.keys.push_back(entry.key);
      part.places.push_back(entry.place);
    }
  }
}

bool PullPlan::IsOf(std::span<const TableKeys> keys) const {
  if (keys.size() != sizes_.size()) return false;
  for (size_t t = 0; t < keys.size(); ++t) {
    if (keys[t].keys.size() != sizes_[t] || !std::ranges::equal(keys[t].counts, counts_[t])) {
      return false;
    }
    for (const auto& parts : parts_) {
      const Part& part = parts[t];
      for (size_t i = 0; i < part.keys.size(); ++i) {
        if (keys[t].keys[part.places[i]] != part.keys[i]) return false;
      }
    }
  }
  return true;
}

std::vector<std::vector<uint64_t>> PullPlan::KeysOf(int server) const {
  std::vector<std::vector<uint64_t>> keys;
  for (const Part& part : parts_[server]) keys.push_back(part.keys);
  return keys;
}

}  // namespace capstan
