// Gradients in the caller's order of keys, made into the push of one server.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "params/parameters.h"
#include "ps/messages.h"
#include "ps/pull_plan.h"
#include "ps/sharding.h"

namespace capstan {

class PushEncoder {
 public:
  // All outlive it. `dims`: floats of a gradient row, by table.
  PushEncoder(const Sharding& sharding, const PullPlan& plan, const std::vector<DenseSpec>& dense,
              std::span<const int> dims, ValueFormat format)
      : sharding_(sharding), plan_(plan), dense_(dense), dims_(dims), format_(format) {}

  // A slice or batch: gradients of all keys, of which those with a count go out.
  struct Part {
    PushIdentity identity;
    double weight_sum = 0;
    std::span<const std::span<const float>> rows;       // [table]: [keys, gradient_dim]
    std::span<const std::span<const uint32_t>> counts;  // [table][key]
  };
  // Dense gradients, added up over a node.
  struct Dense {
    SliceNode node;
    std::span<const float> values;  // [dense size], or empty: all zeros
  };

  // Whether gradients and counts fit the plan's keys, and values `dense_size` floats.
  Status Check(const Part& part) const;
  Status Check(const Dense& dense, size_t dense_size) const;
  // `request` with the parts and dense sums in it.
  std::string Encode(int server, PushRequest request, std::span<const Part> parts,
                     std::span<const Dense> dense) const;

 private:
  // The bytes that a part's views look into, while the message is made.
  struct Bits {
    std::string touched, counts;
    size_t keys = 0;  // touched
  };
  Bits MakeBits(const PullPlan::Part& keys, std::span<const uint32_t> counts) const;
  void WriteRows(const PullPlan::Part& keys, std::span<const uint32_t> counts,
                 std::span<const float> gradients, int dim, char* out) const;
  void WriteDense(int server, std::span<const float> gradients, char* out) const;

  const Sharding& sharding_;
  const PullPlan& plan_;
  const std::vector<DenseSpec>& dense_;
  const std::span<const int> dims_;
  const ValueFormat format_;
};

}  // namespace capstan
