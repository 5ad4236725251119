#include "train/memory_watch.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

MemoryUse Use(int64_t percent) {
  return {.used_bytes = percent * 40'000'000, .limit_bytes = 4'000'000'000};
}

TEST(MemoryWatchTest, NamesWhatFillsIt) {
  MemoryWatch watch;
  const auto line = watch.Look(Use(82), {{"C1", 10, 1000},
                                         {"C5", 11'800'000, 1'900'000'000},
                                         {"C2", 20, 2000},
                                         {"C14", 5'000'000, 800'000'000}});
  ASSERT_TRUE(line.has_value());
  EXPECT_EQ(*line,
            "memory: 82 % of 4.0 GB (3.3 GB); table C5: 1.9 GB, 11,800,000 rows; table C14: 0.8 "
            "GB, 5,000,000 rows; table C2: 0 MB, 20 rows; the other 1 less; admission_count "
            "and expiry_steps of a table in the model file, or more servers, would help");
}

TEST(MemoryWatchTest, OnceForEachThreshold) {
  MemoryWatch watch;
  const auto says = [&](int64_t percent) { return watch.Look(Use(percent), {}).has_value(); };
  EXPECT_FALSE(says(79));
  EXPECT_TRUE(says(80));
  EXPECT_FALSE(says(94));
  EXPECT_TRUE(says(95));
  EXPECT_FALSE(says(99));
  EXPECT_FALSE(says(90));
  EXPECT_FALSE(says(96));
  EXPECT_FALSE(says(89));
  EXPECT_TRUE(says(96));
  EXPECT_FALSE(says(75));
  EXPECT_FALSE(says(80));
  EXPECT_FALSE(says(74));
  EXPECT_TRUE(says(80));
}

TEST(MemoryWatchTest, BothAtOnceIsOneLine) {
  MemoryWatch watch;
  EXPECT_TRUE(watch.Look(Use(97), {}).has_value());
  EXPECT_FALSE(watch.Look(Use(98), {}).has_value());
}

}  // namespace
}  // namespace capstan
