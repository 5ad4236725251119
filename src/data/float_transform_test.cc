#include "data/float_transform.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace capstan {
namespace {

TEST(FloatTransformTest, Log1pIsExactToTwoUnits) {
  double worst = 0;
  for (uint32_t bits = 0; bits < 0x7f800000u; bits += 4099) {
    float x = std::bit_cast<float>(bits);
    float y = x;
    Log1pInPlace({&y, 1});
    const double exact = std::log1p(static_cast<double>(x));
    const float rounded = static_cast<float>(exact);
    const double unit = std::nextafter(rounded, std::numeric_limits<float>::infinity()) - rounded;
    worst = std::max(worst, std::abs(y - exact) / unit);
  }
  EXPECT_LT(worst, 2.0);
}

TEST(FloatTransformTest, Log1pOfNegativesIsZero) {
  float x[] = {-1, -0.5f, -1e30f, 0, -0.0f};
  Log1pInPlace(x);
  for (const float y : x) EXPECT_EQ(y, 0.0f);
}

TEST(FloatTransformTest, LogFirstThenStandardised) {
  InputSpec spec;
  FeatureSpec plain, both, vector;
  plain.name = "plain";
  both.name = "both";
  both.log1p = both.standardise = true;
  both.mean = {1};
  both.stddev = {2};
  vector.name = "vector";
  vector.length = 2;
  vector.standardise = true;
  vector.mean = {10, 20};
  vector.stddev = {5, 0.5};
  spec.features = {plain, both, vector};
  std::vector<float> dense;
  const int rows = 600;  // more than a block
  for (int i = 0; i < rows; ++i) {
    for (const float x : {float(i), float(i), float(i), float(2 * i)}) dense.push_back(x);
  }
  FloatTransform(spec).Apply(rows, dense.data());
  for (int i = 0; i < rows; ++i) {
    EXPECT_EQ(dense[4 * i], i);
    EXPECT_NEAR(dense[4 * i + 1], (std::log1p(i) - 1) / 2, 1e-6);
    EXPECT_EQ(dense[4 * i + 2], (i - 10) / 5.0f);
    EXPECT_EQ(dense[4 * i + 3], (2 * i - 20) / 0.5f);
  }
}

}  // namespace
}  // namespace capstan
