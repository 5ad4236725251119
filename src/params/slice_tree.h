// The order in which the dense gradients of a step's slices are added: a fixed tree.
//
//   sum(lo, n) = slice lo                             if n is 1
//              = sum(lo, h) + sum(lo + h, n - h)      else; h: the largest power of two below n
//
//   of 8 slices:  | 0   1   2   3   4   5   6   7 |   of 6:  | 0   1   2   3   4   5 |
//                 | 0   1   2   3 | 4   5   6   7 |          | 0   1   2   3 | 4   5 |
//                 | 0   1 | 2   3 | 4   5 | 6   7 |          | 0   1 | 2   3 | 4 | 5 |
//                 | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 |          | 0 | 1 | 2 | 3 |
//
// So neighbours that are a node of the tree may be added up by whoever has computed them, and sent
// as one sum: the result has the same bits however a step is shared out. (Row gradients are added
// slice by slice, in order.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace capstan {

// Slices [first, first + count) of a step.
struct SliceNode {
  int32_t first = 0, count = 0;
  bool operator==(const SliceNode&) const = default;
  int32_t end() const { return first + count; }
  bool Contains(const SliceNode& other) const {
    return first <= other.first && other.end() <= end();
  }
};

// Whether it is a node of the tree of `slices` slices. Two nodes of one tree are apart, or one
// contains the other.
bool IsSliceNode(const SliceNode& node, int slices);

// The largest nodes that hold exactly the marked slices of marked.size(), in order.
std::vector<SliceNode> LargestSliceNodes(const std::vector<bool>& marked);

// Up to `count` of the marked slices, ascending: in large nodes, and such that what is left is in
// large nodes.
std::vector<int32_t> ChooseNeighbours(std::vector<bool> marked, int count);

// Whether `nodes`, in order, are nodes below `root` that hold each slice of it exactly once.
bool CoverSliceTree(const SliceNode& root, std::span<const SliceNode> nodes);

// sum [count] = the sum of `root` as the tree says; values[i]: [count], the sum of nodes[i].
// CoverSliceTree must be true. `sum` is none of the values.
void AddSliceTree(const SliceNode& root, std::span<const SliceNode> nodes,
                  std::span<const float* const> values, int64_t count, float* sum);

}  // namespace capstan
