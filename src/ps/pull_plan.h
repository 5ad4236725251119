// The keys of one pull, sorted and shared out over the servers, and how to get from a server's order
// back to the caller's.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "params/parameters.h"
#include "ps/sharding.h"

namespace capstan {

// Keeps its memory from pull to pull.
class PullPlan {
 public:
  struct Part {
    std::vector<uint64_t> keys;    // sorted
    std::vector<uint32_t> places;  // of the keys in the caller's list
  };

  // The caller's lists are copied as far as they are needed later (counts).
  void Build(const Sharding& sharding, std::span<const TableKeys> keys);
  // Whether it was built from exactly these keys, in this order, and counts.
  bool IsOf(std::span<const TableKeys> keys) const;

  int tables() const { return static_cast<int>(sizes_.size()); }
  // Keys of a table in the caller's list.
  size_t size(int table) const { return sizes_[table]; }
  std::span<const uint32_t> counts(int table) const { return counts_[table]; }
  const Part& part(int server, int table) const { return parts_[server][table]; }
  // [table], for a request.
  std::vector<std::vector<uint64_t>> KeysOf(int server) const;

 private:
  struct Entry {
    uint64_t key;
    uint32_t place;
    uint32_t server;
  };
  std::vector<size_t> sizes_;
  std::vector<std::vector<uint32_t>> counts_;
  std::vector<std::vector<Part>> parts_;  // [server][table]
  std::vector<Entry> entries_;
};

}  // namespace capstan
