#include "base/latency_histogram.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using std::chrono::microseconds;

TEST(LatencyHistogramTest, BoundsBelongToTheirBucket) {
  LatencyHistogram times;
  times.Add(microseconds(0));
  times.Add(microseconds(100));
  times.Add(microseconds(101));
  times.Add(microseconds(10'000'000));
  times.Add(microseconds(10'000'001));
  EXPECT_EQ(times.counts[0], 2);
  EXPECT_EQ(times.counts[1], 1);
  EXPECT_EQ(times.counts[LatencyHistogram::kBounds.size() - 1], 1);
  EXPECT_EQ(times.counts.back(), 1);
  EXPECT_EQ(times.count(), 5);
  EXPECT_NEAR(times.sum_seconds, 20.000202, 1e-9);
}

TEST(LatencyHistogramTest, BoundsAscend) {
  EXPECT_TRUE(std::is_sorted(LatencyHistogram::kBounds.begin(), LatencyHistogram::kBounds.end()));
}

}  // namespace
}  // namespace capstan
