#include "launch/quantity.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TEST(ParseQuantity, UnitsOfKubernetes) {
  EXPECT_DOUBLE_EQ(*ParseQuantity("500m"), 0.5);
  EXPECT_DOUBLE_EQ(*ParseQuantity("2"), 2);
  EXPECT_DOUBLE_EQ(*ParseQuantity("2.5"), 2.5);
  EXPECT_DOUBLE_EQ(*ParseQuantity("2Gi"), 2147483648.0);
  EXPECT_DOUBLE_EQ(*ParseQuantity("3M"), 3e6);
  EXPECT_DOUBLE_EQ(*ParseQuantity("1e3"), 1000);
  EXPECT_DOUBLE_EQ(*ParseQuantity("2E"), 2e18);
  for (const char* bad :
       {"", "m", "-1", "+1", "2 Gi", "2gi", "2GB", "1e", "1e999", "inf", "nan", "0x10"}) {
    EXPECT_FALSE(ParseQuantity(bad).ok()) << bad;
  }
}

TEST(ParseDuration, UnitsAreWanted) {
  EXPECT_EQ(*ParseDuration("90s"), 90);
  EXPECT_EQ(*ParseDuration("10m"), 600);
  EXPECT_EQ(*ParseDuration("1h30m"), 5400);
  EXPECT_EQ(*ParseDuration("1d"), 86'400);
  EXPECT_EQ(*ParseDuration("0"), 0);
  for (const char* bad : {"", "90", "s", "-1s", "1m1h", "1s1s", "1w", "10 m",
                          "99999999999999999999s", "999999999d"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(DurationText, ReadsBack) {
  for (const int64_t seconds : {0, 1, 59, 90, 600, 5400, 7200, 86'400, 90'000}) {
    EXPECT_EQ(*ParseDuration(DurationText(seconds)), seconds);
  }
  EXPECT_EQ(DurationText(600), "10m");
}

}  // namespace
}  // namespace capstan
