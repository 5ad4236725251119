#include "tensor/pairwise_dots.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "base/random.h"
#include "tensor/every_target_test.h"

namespace capstan {
namespace {

std::vector<float> Random(uint64_t seed, size_t count) {
  RandomStream random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

TEST(PairwiseDotsTest, ForwardAndBackward) {
  std::map<int, std::vector<float>> bits;
  ForEveryTarget([&](const std::string& target) {
    for (const auto& [count, dim] : {std::pair(2, 1), {3, 5}, {27, 16}, {8, 20}, {33, 3}}) {
      const std::vector<float> v = Random(count, count * dim);
      const std::vector<float> ddots = Random(dim, PairCount(count));
      std::vector<float> dots(PairCount(count)), dv(count * dim);
      PairwiseDots pairs(count, dim);
      pairs.Forward(v.data(), dots.data());
      pairs.Backward(v.data(), ddots.data(), dv.data());
      std::vector<double> expected(count * dim);
      int pair = 0;
      for (int i = 1; i < count; ++i) {
        for (int j = 0; j < i; ++j, ++pair) {
          double dot = 0;
          for (int k = 0; k < dim; ++k) {
            dot += static_cast<double>(v[i * dim + k]) * v[j * dim + k];
            expected[i * dim + k] += static_cast<double>(ddots[pair]) * v[j * dim + k];
            expected[j * dim + k] += static_cast<double>(ddots[pair]) * v[i * dim + k];
          }
          EXPECT_NEAR(dots[pair], dot, 1e-4) << target;
        }
      }
      for (int k = 0; k < count * dim; ++k) EXPECT_NEAR(dv[k], expected[k], 1e-4) << target;
      if (HasFusedMultiplyAdd(target)) {
        EXPECT_EQ(dv, bits.try_emplace(count, dv).first->second) << target;
      }
    }
  });
}

TEST(PairwiseDotsTest, SumAndItsGradient) {
  ForEveryTarget([](const std::string& target) {
    for (const auto& [count, dim] : {std::pair(2, 1), {3, 5}, {27, 16}, {8, 20}}) {
      const std::vector<float> v = Random(count, count * dim);
      std::vector<float> sum(dim), dots(PairCount(count)), dv(count * dim, 1.0f);
      PairwiseDots pairs(count, dim);
      pairs.Forward(v.data(), dots.data());
      double expected = 0;
      for (const float dot : dots) expected += dot;
      EXPECT_NEAR(SumOfPairwiseDots(v.data(), count, dim, sum.data()), expected, 1e-3) << target;
      AddPairwiseGradient(v.data(), sum.data(), count, dim, 0.5f, dv.data());
      for (int i = 0; i < count; ++i) {
        for (int k = 0; k < dim; ++k) {
          double rest = 0;
          for (int j = 0; j < count; ++j) rest += j == i ? 0 : v[j * dim + k];
          EXPECT_NEAR(dv[i * dim + k], 1.0 + 0.5 * rest, 1e-4) << target;
        }
      }
    }
  });
}

}  // namespace
}  // namespace capstan
