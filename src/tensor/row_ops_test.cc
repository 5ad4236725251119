#include "tensor/row_ops.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "tensor/every_target_test.h"

namespace capstan {
namespace {

// 5 rows of which one is null, 40 values.
struct Rows {
  explicit Rows(int dim) : memory(5 * (dim + 3)) {
    RandomStream random(dim);
    for (float& value : memory) value = static_cast<float>(random.Normal());
    for (int i = 0; i < 5; ++i) {
      rows.push_back(i == 3 ? nullptr : memory.data() + i * (dim + 3));
    }
    for (int i = 0; i < 40; ++i) index.push_back(static_cast<uint32_t>(random.Below(5)));
    reader = {.rows = rows.data(), .index = index.data(), .offset = 2, .dim = dim};
  }
  float At(int value, int k) const {
    const float* row = rows[index[value]];
    return row == nullptr ? 0.0f : row[2 + k];
  }
  std::vector<float> memory;
  std::vector<const float*> rows;
  std::vector<uint32_t> index;
  RowReader reader;
};

TEST(RowOpsTest, GathersAndAdds) {
  ForEveryTarget([](const std::string& target) {
    for (const int dim : {1, 3, 16, 20, 32}) {
      const Rows rows(dim);
      const int stride = dim + 1;
      std::vector<float> out(40 * stride, 7.0f), sum(40 * stride, 7.0f);
      std::vector<Bfloat16> out16(40 * stride);
      GatherRows(rows.reader, 40, out.data(), stride);
      GatherRows(rows.reader, 40, out16.data(), stride);
      AddRows(rows.reader, 40, sum.data(), stride);
      for (int i = 0; i < 40; ++i) {
        for (int k = 0; k < dim; ++k) {
          EXPECT_EQ(out[i * stride + k], rows.At(i, k)) << target;
          EXPECT_EQ(out16[i * stride + k], ToBfloat16(rows.At(i, k))) << target;
          EXPECT_EQ(sum[i * stride + k], 7.0f + rows.At(i, k)) << target;
        }
        EXPECT_EQ(out[i * stride + dim], 7.0f);
      }
    }
  });
}

TEST(RowOpsTest, PoolsWithCoefficients) {
  ForEveryTarget([](const std::string& target) {
    for (const int dim : {1, 5, 16, 17}) {
      const Rows rows(dim);
      const std::vector<uint32_t> offsets = {0, 3, 3, 20, 40};
      std::vector<float> coefficients;
      for (int i = 0; i < 40; ++i) coefficients.push_back(0.25f * static_cast<float>(i % 5));
      std::vector<float> plain(4 * dim), weighted(4 * dim), single(40 * dim);
      PoolRows(rows.reader, offsets.data(), nullptr, 4, plain.data(), dim);
      PoolRows(rows.reader, offsets.data(), coefficients.data(), 4, weighted.data(), dim);
      PoolRows(rows.reader, nullptr, coefficients.data(), 40, single.data(), dim);
      for (int k = 0; k < dim; ++k) {
        for (int i = 0; i < 4; ++i) {
          double sum = 0, weighted_sum = 0;
          for (uint32_t v = offsets[i]; v < offsets[i + 1]; ++v) {
            sum += rows.At(v, k);
            weighted_sum += coefficients[v] * rows.At(v, k);
          }
          EXPECT_NEAR(plain[i * dim + k], sum, 1e-5) << target;
          EXPECT_NEAR(weighted[i * dim + k], weighted_sum, 1e-5) << target;
        }
        for (int i = 0; i < 40; ++i) {
          EXPECT_EQ(single[i * dim + k], coefficients[i] * rows.At(i, k)) << target;
        }
      }
    }
  });
}

TEST(RowOpsTest, AddsIntoRowsInOrder) {
  ForEveryTarget([](const std::string& target) {
    for (const int dim : {1, 4, 16, 19}) {
      std::vector<float> source(30 * dim), coefficients(30);
      RandomStream random(dim);
      for (float& value : source) value = static_cast<float>(random.Normal());
      for (float& value : coefficients) value = static_cast<float>(random.Normal());
      std::vector<float> out(3 * dim), expected(3 * dim), scaled(3 * dim);
      std::vector<double> expected_scaled(3 * dim);
      std::vector<float*> targets, scaled_targets;
      std::vector<const float*> sources;
      for (int i = 0; i < 30; ++i) {
        const int row = static_cast<int>(random.Below(3));
        targets.push_back(out.data() + row * dim);
        scaled_targets.push_back(scaled.data() + row * dim);
        sources.push_back(source.data() + i * dim);
        for (int k = 0; k < dim; ++k) {
          expected[row * dim + k] += source[i * dim + k];
          expected_scaled[row * dim + k] += coefficients[i] * source[i * dim + k];
        }
      }
      AddToRows(targets, sources, {}, dim);
      AddToRows(scaled_targets, sources, coefficients, dim);
      EXPECT_EQ(out, expected) << target;
      std::fill(out.begin(), out.end(), 0.0f);
      AddMatrixToRows(targets, source.data(), dim, dim);
      EXPECT_EQ(out, expected) << target;
      for (int k = 0; k < 3 * dim; ++k) EXPECT_NEAR(scaled[k], expected_scaled[k], 1e-4) << target;
    }
  });
}

TEST(RowOpsTest, DrainsRows) {
  ForEveryTarget([](const std::string& target) {
    for (const int dim : {1, 5, 16, 17}) {
      std::vector<float> from(4 * dim, 2.0f), to(4 * dim, 1.0f);
      DrainRows(std::vector<uint32_t>{3, 1}, dim, from.data(), to.data());
      for (int row = 0; row < 4; ++row) {
        for (int k = 0; k < dim; ++k) {
          EXPECT_EQ(from[row * dim + k], row % 2 == 1 ? 0.0f : 2.0f) << target;
          EXPECT_EQ(to[row * dim + k], row % 2 == 1 ? 3.0f : 1.0f) << target;
        }
      }
    }
  });
}

}  // namespace
}  // namespace capstan
