#include "net/rfc3339.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

TEST(Rfc3339Test, Times) {
  EXPECT_EQ(*ParseRfc3339("1970-01-01T00:01:00Z"), 60);
  EXPECT_EQ(*ParseRfc3339("1970-01-01T01:00:00.5+01:00"), 0.5);
  EXPECT_EQ(*ParseRfc3339("2026-11-24T10:00:00Z"), 1795514400);
  for (const std::string text : {"", "soon", "2026-11-24T10:00:00", "2026-11-24"}) {
    EXPECT_FALSE(ParseRfc3339(text).ok()) << text;
  }
}

}  // namespace
}  // namespace capstan
