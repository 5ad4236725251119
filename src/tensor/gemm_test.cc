#include "tensor/gemm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "tensor/bfloat16.h"

namespace capstan {
namespace {

std::vector<float> Random(uint64_t seed, size_t count) {
  RandomStream random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

struct Case {
  int m, n, k;
  bool transpose_a, transpose_b, bias, relu;
  int pad;  // of the strides
};

class GemmTest : public testing::TestWithParam<Case> {
 protected:
  // The largest difference to the plain product, where rounding to `input` comes first.
  double LargestError(DType input, DType output);
};

double GemmTest::LargestError(DType input, DType output) {
  const Case& c = GetParam();
  GemmShape shape{
      .m = c.m, .n = c.n, .k = c.k, .transpose_a = c.transpose_a, .transpose_b = c.transpose_b};
  shape.lda = (c.transpose_a ? c.m : c.k) + c.pad;
  shape.ldb = (c.transpose_b ? c.k : c.n) + c.pad;
  shape.ldc = c.n + c.pad;
  shape.input = input;
  shape.output = output;
  shape.bias = c.bias;
  shape.relu = c.relu;
  auto gemm = Gemm::Make(shape);
  if (!gemm.ok()) return -1;

  std::vector<float> a = Random(1, static_cast<size_t>(c.transpose_a ? c.k : c.m) * shape.lda);
  std::vector<float> b = Random(2, static_cast<size_t>(c.transpose_b ? c.n : c.k) * shape.ldb);
  const std::vector<float> bias = Random(3, c.n);
  std::vector<Bfloat16> a16(a.size()), b16(b.size()), c16(static_cast<size_t>(c.m) * shape.ldc);
  for (size_t i = 0; i < a.size(); ++i) a16[i] = ToBfloat16(a[i]);
  for (size_t i = 0; i < b.size(); ++i) b16[i] = ToBfloat16(b[i]);
  const bool half = input == DType::kBfloat16;
  if (half) {
    for (size_t i = 0; i < a.size(); ++i) a[i] = FromBfloat16(a16[i]);
    for (size_t i = 0; i < b.size(); ++i) b[i] = FromBfloat16(b16[i]);
  }
  std::vector<float> result(c16.size(), 77.0f);
  const bool half_out = output == DType::kBfloat16;
  (*gemm)->Run(half ? static_cast<void*>(a16.data()) : a.data(),
               half ? static_cast<void*>(b16.data()) : b.data(),
               half_out ? static_cast<void*>(c16.data()) : result.data(),
               c.bias ? bias.data() : nullptr);
  double worst = 0;
  for (int i = 0; i < c.m; ++i) {
    for (int j = 0; j < c.n; ++j) {
      double sum = c.bias ? bias[j] : 0;
      for (int l = 0; l < c.k; ++l) {
        sum += static_cast<double>(a[c.transpose_a ? l * shape.lda + i : i * shape.lda + l]) *
               b[c.transpose_b ? j * shape.ldb + l : l * shape.ldb + j];
      }
      if (c.relu) sum = std::max(sum, 0.0);
      const int at = i * shape.ldc + j;
      const float got = half_out ? FromBfloat16(c16[at]) : result[at];
      worst = std::max(worst, std::abs(got - sum) / (half_out ? std::abs(sum) + 1 : 1.0));
    }
    // What lies between the rows stays.
    for (int j = c.n; !half_out && j < shape.ldc; ++j) EXPECT_EQ(result[i * shape.ldc + j], 77.0f);
  }
  return worst;
}

TEST_P(GemmTest, EqualsThePlainProduct) {
  const double error = LargestError(DType::kFloat, DType::kFloat);
  EXPECT_GE(error, 0);
  EXPECT_LT(error, 1e-4);
}

TEST_P(GemmTest, EqualsThePlainProductOfBfloat16) {
  if (LargestError(DType::kBfloat16, DType::kFloat) < 0) GTEST_SKIP() << "no bfloat16 here";
  EXPECT_LT(LargestError(DType::kBfloat16, DType::kFloat), 1e-3);
  EXPECT_LT(LargestError(DType::kBfloat16, DType::kBfloat16), 0.01);
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmTest,
                         testing::Values(Case{64, 32, 45, false, false, true, true, 0},
                                         Case{64, 45, 32, false, true, false, false, 3},
                                         Case{45, 32, 64, true, false, false, false, 3},
                                         Case{17, 1, 13, false, false, true, false, 0},
                                         Case{1, 1, 1, false, false, false, false, 0},
                                         Case{13, 1, 17, true, false, false, false, 2},
                                         Case{17, 10, 1, false, true, false, false, 6}));

TEST(GemmMakeTest, RepeatsItself) {
  auto gemm = Gemm::Make({.m = 31, .n = 29, .k = 37});
  ASSERT_TRUE(gemm.ok());
  const std::vector<float> a = Random(4, 31 * 37), b = Random(5, 37 * 29);
  std::vector<float> first(31 * 29), second(31 * 29);
  (*gemm)->Run(a.data(), b.data(), first.data());
  (*gemm)->Run(a.data(), b.data(), second.data());
  EXPECT_EQ(first, second);
}

}  // namespace
}  // namespace capstan
