#include "data/text_fields.h"

#include <gtest/gtest.h>

#include <cmath>

namespace capstan {
namespace {

using Fields = std::vector<std::string_view>;

TEST(TextFieldsTest, CutsAtSeparators) {
  FieldCutter cutter;
  EXPECT_EQ(cutter.Cut("a,b,,c", ','), (Fields{"a", "b", "", "c"}));
  EXPECT_EQ(cutter.Cut("", ','), (Fields{""}));
  EXPECT_EQ(cutter.Cut(",", ','), (Fields{"", ""}));
  EXPECT_EQ(cutter.Cut("a b\tc", '\t'), (Fields{"a b", "c"}));
}

TEST(TextFieldsTest, QuotesHideSeparators) {
  FieldCutter cutter;
  EXPECT_EQ(cutter.Cut(R"("a,b",c,"d ""e"" f",)", ','), (Fields{"a,b", "c", R"(d "e" f)", ""}));
  EXPECT_EQ(cutter.Cut(R"("open,end)", ','), (Fields{"open,end"}));
  EXPECT_EQ(cutter.Cut(R"("a"b,c)", ','), (Fields{"ab", "c"}));
  EXPECT_EQ(cutter.Cut(R"(a"b",c)", ','), (Fields{R"(a"b")", "c"}));
}

TEST(TextFieldsTest, NumbersAreWholeFields) {
  float x = 0;
  EXPECT_TRUE(ParseFloat(" +1.5e2\r", &x));
  EXPECT_EQ(x, 150);
  EXPECT_TRUE(ParseFloat("1e-60", &x));
  EXPECT_EQ(x, 0);
  EXPECT_TRUE(ParseFloat("-1e60", &x));
  EXPECT_TRUE(std::isinf(x));
  for (const char* bad : {"", "x", "1x", "1 2", "++1", "+-1", "0x10"}) {
    EXPECT_FALSE(ParseFloat(bad, &x)) << bad;
  }
  int64_t n = 0;
  EXPECT_TRUE(ParseInt("-9223372036854775808", &n));
  EXPECT_EQ(n, INT64_MIN);
  for (const char* bad : {"", "1.0", "9223372036854775808", "a"}) {
    EXPECT_FALSE(ParseInt(bad, &n)) << bad;
  }
  EXPECT_TRUE(ParseHex("68fd1e64", &n));
  EXPECT_EQ(n, 0x68fd1e64);
  EXPECT_TRUE(ParseHex("ffffffffffffffff", &n));
  EXPECT_EQ(n, -1);
  EXPECT_FALSE(ParseHex("fg", &n));
}

}  // namespace
}  // namespace capstan
