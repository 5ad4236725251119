#include "tensor/vector_ops.h"

#include <gtest/gtest.h>

#include <cmath>
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

TEST(VectorOpsTest, Bfloat16RoundsToNearestEven) {
  std::vector<float> in = {1.0f, 1.00390625f, 1.01171875f, -1.0f, 0.0f, 3.14159f, 1e-30f, 1e30f};
  for (const float x : Random(1, 40)) in.push_back(x);
  ForEveryTarget([&](const std::string& target) {
    std::vector<Bfloat16> out(in.size());
    FloatsToBfloat16(in.data(), static_cast<int64_t>(in.size()), out.data());
    std::vector<float> back(in.size());
    Bfloat16ToFloats(out.data(), static_cast<int64_t>(in.size()), back.data());
    for (size_t i = 0; i < in.size(); ++i) {
      EXPECT_EQ(out[i], ToBfloat16(in[i])) << target;
      EXPECT_EQ(back[i], FromBfloat16(out[i])) << target;
      EXPECT_NEAR(back[i], in[i], std::abs(in[i]) / 256) << target;
    }
  });
  EXPECT_EQ(FromBfloat16(ToBfloat16(1.00390625f)), 1.0f);       // a tie, to even
  EXPECT_EQ(FromBfloat16(ToBfloat16(1.01171875f)), 1.015625f);  // a tie, to even
}

TEST(VectorOpsTest, DotAndAxpyOfEveryLength) {
  const std::vector<float> x = Random(2, 70), y = Random(3, 70);
  std::map<int, float> dots;
  ForEveryTarget([&](const std::string& target) {
    for (int n = 0; n <= 70; ++n) {
      double sum = 0;
      for (int i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * y[i];
      const float dot = Dot(x.data(), y.data(), n);
      EXPECT_NEAR(dot, sum, 1e-4) << target << " " << n;
      if (HasFusedMultiplyAdd(target)) {
        EXPECT_EQ(dot, dots.try_emplace(n, dot).first->second) << target << " " << n;
      }
      std::vector<float> z = y, s = y;
      Axpy(0.5f, x.data(), n, z.data());
      AddTo(x.data(), n, s.data());
      for (int i = 0; i < 70; ++i) {
        EXPECT_FLOAT_EQ(z[i], i < n ? y[i] + 0.5f * x[i] : y[i]);
        EXPECT_EQ(s[i], i < n ? y[i] + x[i] : y[i]);
      }
    }
  });
}

TEST(VectorOpsTest, ReluItsGradientAndColumnSums) {
  ForEveryTarget([&](const std::string& target) {
    for (const int cols : {1, 7, 16, 64, 77, 130}) {
      const int rows = 9, stride = cols + 3;
      const std::vector<float> x = Random(4, rows * stride), dy = Random(5, rows * stride);
      const std::vector<float> bias = Random(6, cols);
      std::vector<float> z = x;
      AddBias(rows, cols, bias.data(), z.data(), stride);
      std::vector<float> y(rows * cols);
      std::vector<Bfloat16> y16(rows * cols), out16(rows * cols);
      Relu(rows, cols, z.data(), stride, y.data(), cols);
      Relu(rows, cols, z.data(), stride, y16.data(), cols);
      std::vector<float> out(rows * cols), sums(cols), sums16(cols), plain(cols);
      ReluGradient(rows, cols, dy.data(), stride, y.data(), cols, 2.0f, out.data(), cols,
                   sums.data());
      ReluGradient(rows, cols, dy.data(), stride, y16.data(), cols, 2.0f, out16.data(), cols,
                   sums16.data());
      ColumnSums(rows, cols, dy.data(), stride, plain.data());
      for (int c = 0; c < cols; ++c) {
        float sum = 0, plain_sum = 0;
        for (int r = 0; r < rows; ++r) {
          const float value = x[r * stride + c] + bias[c];
          EXPECT_EQ(y[r * cols + c], std::max(value, 0.0f)) << target;
          EXPECT_EQ(y16[r * cols + c], ToBfloat16(std::max(value, 0.0f))) << target;
          const float gradient = value > 0 ? 2.0f * dy[r * stride + c] : 0.0f;
          EXPECT_EQ(out[r * cols + c], gradient) << target;
          EXPECT_EQ(out16[r * cols + c], ToBfloat16(gradient)) << target;
          sum += gradient;
          plain_sum += dy[r * stride + c];
        }
        EXPECT_EQ(sums[c], sum) << target;  // the same order of additions: the same bits
        EXPECT_EQ(sums16[c], sum) << target;
        EXPECT_EQ(plain[c], plain_sum) << target;
      }
    }
  });
}

TEST(VectorOpsTest, DropsTheSameUnitsEverywhere) {
  const int cols = 1003;
  std::vector<float> first;
  ForEveryTarget([&](const std::string& target) {
    std::vector<float> x(cols, 1.0f);
    std::vector<Bfloat16> x16(cols, ToBfloat16(1.0f));
    DropRow(42, 1u << 30, 4.0f / 3.0f, cols, x.data());
    DropRow(42, 1u << 30, 4.0f / 3.0f, cols, x16.data());
    if (first.empty()) first = x;
    EXPECT_EQ(x, first) << target;
    int dropped = 0;
    for (int c = 0; c < cols; ++c) {
      dropped += x[c] == 0;
      EXPECT_EQ(x16[c] == 0, x[c] == 0);
    }
    EXPECT_NEAR(dropped, cols / 4, 60);
  });
  std::vector<float> other(cols, 1.0f);
  DropRow(43, 1u << 30, 4.0f / 3.0f, cols, other.data());
  EXPECT_NE(other, first);
}

}  // namespace
}  // namespace capstan
