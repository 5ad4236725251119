#include "params/slice_tree.h"

#include <algorithm>
#include <bit>

namespace capstan {
namespace {

// Floats that are added at a time: with the sums of some levels they stay in the first cache.
constexpr int64_t kBlock = 1024;

int32_t LargestPowerBelow(int32_t count) {
  return static_cast<int32_t>(std::bit_floor(static_cast<uint32_t>(count - 1)));
}
SliceNode LeftOf(const SliceNode& node) { return {node.first, LargestPowerBelow(node.count)}; }
SliceNode RightOf(const SliceNode& node) {
  const int32_t left = LargestPowerBelow(node.count);
  return {node.first + left, node.count - left};
}

void AddLargest(const SliceNode& node, const std::vector<bool>& marked,
                std::vector<SliceNode>* found) {
  const auto begin = marked.begin() + node.first;
  const auto in_it = std::count(begin, begin + node.count, true);
  if (in_it == 0) return;
  if (in_it == node.count) {
    found->push_back(node);
    return;
  }
  AddLargest(LeftOf(node), marked, found);
  AddLargest(RightOf(node), marked, found);
}

// Takes the nodes of a cover from its front.
bool TakeCover(const SliceNode& root, std::span<const SliceNode>* nodes) {
  if (nodes->empty()) return false;
  if (nodes->front() == root) {
    *nodes = nodes->subspan(1);
    return true;
  }
  return root.count > 1 && TakeCover(LeftOf(root), nodes) && TakeCover(RightOf(root), nodes);
}

// Adds up one block of floats.
class BlockAdder {
 public:
  BlockAdder(std::span<const SliceNode> nodes, std::span<const float* const> values)
      : nodes_(nodes), values_(values) {}

  void Add(const SliceNode& root, int64_t at, int64_t count, float* sum) {
    at_ = at;
    count_ = count;
    next_ = 0;
    const float* const found = Evaluate(root, 0, sum);
    if (found != sum) std::copy(found, found + count, sum);
  }

 private:
  // The node's floats: where they lie, or in `*memory`.
  const float* Evaluate(const SliceNode& node, size_t level, float* memory) {
    if (nodes_[next_] == node) return values_[next_++] + at_;
    const float* const left = Evaluate(LeftOf(node), level, memory);
    if (level == right_memory_.size()) right_memory_.emplace_back(kBlock);
    const float* const right = Evaluate(RightOf(node), level + 1, right_memory_[level].data());
    for (int64_t i = 0; i < count_; ++i) memory[i] = left[i] + right[i];
    return memory;
  }

  const std::span<const SliceNode> nodes_;
  const std::span<const float* const> values_;
  std::vector<std::vector<float>> right_memory_;  // [level]; what lies in one stays when it grows
  int64_t at_ = 0, count_ = 0;
  size_t next_ = 0;
};

}  // namespace

// All nodes begin at a multiple of their size, rounded up to a power of two. Those with another
// size than a power of two end with the last slice.
bool IsSliceNode(const SliceNode& node, int slices) {
  if (node.first < 0 || node.count < 1 || node.first >= slices ||
      node.count > slices - node.first) {
    return false;
  }
  const uint32_t size = std::bit_ceil(static_cast<uint32_t>(node.count));
  if (static_cast<uint32_t>(node.first) % size != 0) return false;
  return size == static_cast<uint32_t>(node.count) || node.end() == slices;
}

std::vector<SliceNode> LargestSliceNodes(const std::vector<bool>& marked) {
  std::vector<SliceNode> found;
  if (!marked.empty()) AddLargest({0, static_cast<int32_t>(marked.size())}, marked, &found);
  return found;
}

std::vector<int32_t> ChooseNeighbours(std::vector<bool> marked, int count) {
  std::vector<int32_t> chosen;
  while (static_cast<int>(chosen.size()) < count) {
    const int32_t wanted = count - static_cast<int32_t>(chosen.size());
    SliceNode best;       // what is taken …
    int32_t best_of = 0;  // … and the size of the node that it is the beginning of
    for (const SliceNode& node : LargestSliceNodes(marked)) {
      const int32_t size =
          node.count <= wanted
              ? node.count
              : static_cast<int32_t>(std::bit_floor(static_cast<uint32_t>(wanted)));
      if (size > best.count || (size == best.count && node.count < best_of)) {
        best = {node.first, size};
        best_of = node.count;
      }
    }
    if (best.count == 0) break;
    for (int32_t slice = best.first; slice < best.end(); ++slice) {
      chosen.push_back(slice);
      marked[slice] = false;
    }
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

bool CoverSliceTree(const SliceNode& root, std::span<const SliceNode> nodes) {
  return TakeCover(root, &nodes) && nodes.empty();
}

void AddSliceTree(const SliceNode& root, std::span<const SliceNode> nodes,
                  std::span<const float* const> values, int64_t count, float* sum) {
  BlockAdder adder(nodes, values);
  for (int64_t at = 0; at < count; at += kBlock) {
    adder.Add(root, at, std::min(kBlock, count - at), sum + at);
  }
}

}  // namespace capstan
