#include "data/category_key.h"

#include <gtest/gtest.h>

#include <string>

namespace capstan {
namespace {

// The numbers were computed by TensorFlow 2.21's tf.strings.to_hash_bucket_fast.
TEST(CategoryKeyTest, HashesAsTensorFlowDoes) {
  const struct {
    std::string text;
    uint64_t all, thousand;
  } kKnown[] = {
      {"", 1936946117179621456u, 263},
      {"a", 3694432073954588132u, 939},
      {"Hello", 6181326957702750344u, 151},
      {"TensorFlow", 4265654129848386254u, 254},
      {"a longer string of more than thirty-two bytes, to take another path", 8230071594205176959u,
       766},
      {std::string(70, 'x'), 5457250325824655745u, 745},
  };
  for (const auto& known : kKnown) {
    EXPECT_EQ(HashBucket(known.text, 0), known.all) << known.text;
    EXPECT_EQ(HashBucket(known.text, 1000), known.thousand) << known.text;
  }
}

TEST(CategoryKeyTest, CrossesAsStringJoinOfAsString) {
  CrossText cross;
  cross.AddString("left over");
  cross.Clear();
  cross.AddKey(12);
  cross.AddString("blue");
  cross.AddKey(static_cast<uint64_t>(-3));
  EXPECT_EQ(cross.text(), "12_X_blue_X_-3");
  EXPECT_EQ(HashBucket(cross.text(), 5000), 643u);
  EXPECT_EQ(HashBucket(cross.text(), 0), 661424633318229836u);
}

TEST(CategoryKeyTest, AnEmptyStringIsAPartOfACross) {
  CrossText cross;
  cross.AddString("");
  cross.AddString("b");
  EXPECT_EQ(cross.text(), "_X_b");
}

TEST(CategoryKeyTest, BucketsAreClosedBelow) {
  const std::vector<float> bounds = {0, 1, 2};
  const float xs[] = {-1, 0, 0.5, 1, 2, 3};
  const uint64_t buckets[] = {0, 1, 1, 2, 3, 3};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(BucketOf(xs[i], bounds), buckets[i]);
}

TEST(CategoryKeyTest, UnknownWordsShareTheLastIndex) {
  const std::vector<std::string> words = {"red", "green", ""};
  const Vocabulary vocabulary(words);
  EXPECT_EQ(vocabulary.KeyOf("red"), 0u);
  EXPECT_EQ(vocabulary.KeyOf("green"), 1u);
  EXPECT_EQ(vocabulary.KeyOf(""), 2u);
  EXPECT_EQ(vocabulary.KeyOf("Red"), 3u);
}

}  // namespace
}  // namespace capstan
