#include "base/nearest.h"

#include <gtest/gtest.h>

#include <vector>

namespace capstan {
namespace {

TEST(Nearest, DistanceCountsEditsAndTranspositions) {
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
  EXPECT_EQ(EditDistance("optmizier", "optimizer"), 2);
  EXPECT_EQ(EditDistance("ab", "ba"), 1);
}

TEST(Nearest, FindsTheNearestOrNothing) {
  const std::vector<std::string> known = {"learning_rate", "optimizer", "train_files", "mode"};
  EXPECT_EQ(NearestWord("optmizier", known), "optimizer");
  EXPECT_EQ(NearestWord("learn", known), "learning_rate");
  EXPECT_EQ(NearestWord("zzzzzz", known), "");
  EXPECT_EQ(NearestHint("train_file", known), ", nearest is 'train_files'");
  EXPECT_EQ(NearestHint("qqqqqqqq", known), "");
}

}  // namespace
}  // namespace capstan
