#include "tensor/batch_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "tensor/every_target_test.h"

namespace capstan {
namespace {

constexpr double kEpsilon = 1e-3;

std::vector<float> Random(uint64_t seed, size_t count) {
  RandomStream random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.Normal());
  return values;
}

// Σ dy · batch_norm(x) in double.
double Objective(int rows, int cols, const std::vector<double>& x, const std::vector<float>& scale,
                 const std::vector<float>& shift, const std::vector<float>& dy) {
  double total = 0;
  for (int c = 0; c < cols; ++c) {
    double mean = 0, variance = 0;
    for (int r = 0; r < rows; ++r) mean += x[r * cols + c] / rows;
    for (int r = 0; r < rows; ++r) variance += std::pow(x[r * cols + c] - mean, 2) / rows;
    for (int r = 0; r < rows; ++r) {
      const double y =
          (x[r * cols + c] - mean) / std::sqrt(variance + kEpsilon) * scale[c] + shift[c];
      total += y * dy[r * cols + c];
    }
  }
  return total;
}

TEST(BatchNormTest, GradientByDifferences) {
  const int rows = 6, cols = 19;
  const std::vector<float> x = Random(1, rows * cols), scale = Random(2, cols),
                           shift = Random(3, cols), dy = Random(4, rows * cols);
  const std::vector<double> exact(x.begin(), x.end());
  ForEveryTarget([&](const std::string& target) {
    std::vector<float> mean(cols), variance(cols), inverse(cols), y(rows * cols);
    std::vector<float> z = x, dx = dy, dscale(cols), dshift(cols);
    ColumnMoments(rows, cols, z.data(), cols, mean.data(), variance.data());
    for (int c = 0; c < cols; ++c) {
      inverse[c] = 1.0f / std::sqrt(variance[c] + static_cast<float>(kEpsilon));
    }
    Normalise(rows, cols, mean.data(), inverse.data(), z.data(), cols);
    ScaleAndShift(rows, cols, z.data(), cols, scale.data(), shift.data(), y.data(), cols);
    double total = 0;
    for (int i = 0; i < rows * cols; ++i) total += static_cast<double>(y[i]) * dy[i];
    EXPECT_NEAR(total, Objective(rows, cols, exact, scale, shift, dy), 1e-4) << target;

    BatchNormGradient(rows, cols, z.data(), cols, scale.data(), inverse.data(), dx.data(), cols,
                      dscale.data(), dshift.data());
    for (int i = 0; i < rows * cols; ++i) {
      std::vector<double> up = exact, down = exact;
      up[i] += 1e-4;
      down[i] -= 1e-4;
      const double slope = (Objective(rows, cols, up, scale, shift, dy) -
                            Objective(rows, cols, down, scale, shift, dy)) /
                           2e-4;
      EXPECT_NEAR(dx[i], slope, 1e-4) << target;
    }
    for (int c = 0; c < cols; ++c) {
      double by_scale = 0, by_shift = 0;
      for (int r = 0; r < rows; ++r) {
        by_scale += static_cast<double>(z[r * cols + c]) * dy[r * cols + c];
        by_shift += dy[r * cols + c];
      }
      EXPECT_NEAR(dscale[c], by_scale, 1e-5) << target;
      EXPECT_NEAR(dshift[c], by_shift, 1e-5) << target;
    }
  });
}

}  // namespace
}  // namespace capstan
