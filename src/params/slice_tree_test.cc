#include "params/slice_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "base/random.h"

namespace capstan {
namespace {

std::vector<SliceNode> AllNodes(const SliceNode& node) {
  std::vector<SliceNode> nodes = {node};
  if (node.count == 1) return nodes;
  int32_t left = 1;
  while (left * 2 < node.count) left *= 2;
  for (const SliceNode& child :
       {SliceNode{node.first, left}, SliceNode{node.first + left, node.count - left}}) {
    for (const SliceNode& below : AllNodes(child)) nodes.push_back(below);
  }
  return nodes;
}

// The definition, on one float.
float Sum(const std::vector<float>& slices, int lo, int n) {
  if (n == 1) return slices[lo];
  int h = 1;
  while (h * 2 < n) h *= 2;
  return Sum(slices, lo, h) + Sum(slices, lo + h, n - h);
}

TEST(SliceTree, KnowsItsNodes) {
  for (int slices = 1; slices <= 33; ++slices) {
    const std::vector<SliceNode> nodes = AllNodes({0, slices});
    EXPECT_EQ(nodes.size(), static_cast<size_t>(2 * slices - 1));
    for (int first = -1; first <= slices; ++first) {
      for (int count = -1; count <= slices + 1; ++count) {
        const bool is_node = std::ranges::count(nodes, SliceNode{first, count}) > 0;
        EXPECT_EQ(IsSliceNode({first, count}, slices), is_node)
            << slices << ": " << first << " " << count;
      }
    }
  }
  EXPECT_FALSE(IsSliceNode({0x40000000, 0x40000000}, 8));
  EXPECT_FALSE(IsSliceNode({0, 0x7fffffff}, 8));
}

TEST(SliceTree, LargestNodesHoldExactlyTheMarked) {
  using Nodes = std::vector<SliceNode>;
  EXPECT_EQ(LargestSliceNodes({}), Nodes());
  EXPECT_EQ(LargestSliceNodes(std::vector<bool>(6, true)), (Nodes{{0, 6}}));
  EXPECT_EQ(LargestSliceNodes({0, 1, 1, 1, 1, 1}), (Nodes{{1, 1}, {2, 2}, {4, 2}}));
  EXPECT_EQ(LargestSliceNodes({1, 1, 1, 1, 0, 1, 1}), (Nodes{{0, 4}, {5, 1}, {6, 1}}));
  EXPECT_EQ(LargestSliceNodes({0, 0, 0, 0, 1, 1, 1}), (Nodes{{4, 3}}));
}

TEST(SliceTree, ChoosesWhatIsInLargeNodes) {
  using Slices = std::vector<int32_t>;
  const std::vector<bool> all(8, true);
  EXPECT_EQ(ChooseNeighbours(all, 0), Slices());
  EXPECT_EQ(ChooseNeighbours(all, 4), (Slices{0, 1, 2, 3}));
  EXPECT_EQ(ChooseNeighbours(all, 3), (Slices{0, 1, 2}));
  EXPECT_EQ(ChooseNeighbours({0, 0, 0, 1, 1, 1, 1, 1}, 3), (Slices{3, 4, 5}));
  EXPECT_EQ(ChooseNeighbours({1, 0, 0, 0, 1, 1, 1, 1}, 4), (Slices{4, 5, 6, 7}));
  EXPECT_EQ(ChooseNeighbours({1, 0, 0, 0, 1, 1, 1, 1}, 1), (Slices{0}));
  EXPECT_EQ(ChooseNeighbours({1, 0, 1, 0, 1, 0}, 9), (Slices{0, 2, 4}));
  EXPECT_EQ(ChooseNeighbours(std::vector<bool>(7, true), 9), (Slices{0, 1, 2, 3, 4, 5, 6}));
}

TEST(SliceTree, KnowsWhatCoversIt) {
  using Nodes = std::vector<SliceNode>;
  EXPECT_TRUE(CoverSliceTree({0, 1}, Nodes{{0, 1}}));
  EXPECT_TRUE(CoverSliceTree({0, 6}, Nodes{{0, 2}, {2, 1}, {3, 1}, {4, 2}}));
  EXPECT_TRUE(CoverSliceTree({4, 2}, Nodes{{4, 1}, {5, 1}}));
  for (const Nodes& nodes :
       {Nodes{}, Nodes{{0, 4}}, Nodes{{0, 4}, {4, 1}}, Nodes{{4, 2}, {0, 4}},
        Nodes{{0, 4}, {4, 2}, {4, 2}}, Nodes{{0, 4}, {0, 4}, {4, 2}}, Nodes{{0, 6}, {0, 6}},
        Nodes{{0, 2}, {2, 4}}, Nodes{{0, 5}, {5, 1}}, Nodes{{0, 8}}, Nodes{{0, 0}, {0, 6}}}) {
    EXPECT_FALSE(CoverSliceTree({0, 6}, nodes));
  }
}

// However the slices were grouped before, the sum has the bits of the definition.
TEST(SliceTree, SameBitsForAnyGrouping) {
  constexpr int64_t kCount = 1500;  // more than a block
  RandomStream random(1);
  for (int slices = 1; slices <= 17; ++slices) {
    std::vector<std::vector<float>> gradients(slices, std::vector<float>(kCount));
    for (auto& gradient : gradients) {
      for (float& value : gradient) {
        value = (random.Uniform() - 0.5f) * static_cast<float>(1 << random.Below(20));
      }
    }
    std::vector<float> wanted(kCount);
    for (int64_t i = 0; i < kCount; ++i) {
      std::vector<float> column;
      for (const auto& gradient : gradients) column.push_back(gradient[i]);
      wanted[i] = Sum(column, 0, slices);
    }
    for (int round = 0; round < 20; ++round) {
      // Slices go to some workers, each of which adds up its nodes.
      std::vector<std::vector<bool>> marked(1 + random.Below(4), std::vector<bool>(slices));
      for (int s = 0; s < slices; ++s) marked[random.Below(marked.size())][s] = true;
      std::vector<SliceNode> nodes;
      for (const auto& own : marked) {
        for (const SliceNode& node : LargestSliceNodes(own)) nodes.push_back(node);
      }
      std::ranges::sort(nodes, {}, &SliceNode::first);
      ASSERT_TRUE(CoverSliceTree({0, slices}, nodes));
      std::vector<std::vector<float>> sums(nodes.size(), std::vector<float>(kCount));
      std::vector<const float*> values;
      for (size_t n = 0; n < nodes.size(); ++n) {
        std::vector<SliceNode> leaves;
        std::vector<const float*> of_leaves;
        for (int32_t s = nodes[n].first; s < nodes[n].end(); ++s) {
          leaves.push_back({s, 1});
          of_leaves.push_back(gradients[s].data());
        }
        AddSliceTree(nodes[n], leaves, of_leaves, kCount, sums[n].data());
        values.push_back(sums[n].data());
      }
      std::vector<float> sum(kCount);
      AddSliceTree({0, slices}, nodes, values, kCount, sum.data());
      EXPECT_EQ(std::memcmp(sum.data(), wanted.data(), kCount * sizeof(float)), 0);
    }
  }
}

}  // namespace
}  // namespace capstan
