#include "base/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace capstan {
namespace {

// One bit at a time: the definition.
uint32_t SlowCrc(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (unsigned char byte : bytes) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) ? 0x82f63b78u : 0u);
  }
  return ~crc;
}

TEST(Crc32c, KnownVectors) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);  // RFC 3720, B.4
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST(Crc32c, EqualsTheDefinitionAtEveryLengthAroundTheBlocks) {
  std::string bytes;
  uint64_t state = 1;
  while (bytes.size() < 13000)
    bytes.push_back(static_cast<char>((state = state * 6364136223846793005ull + 1) >> 56));
  for (size_t n :
       {1u, 7u, 8u, 9u, 127u, 383u, 384u, 385u, 391u, 768u, 6143u, 6144u, 6145u, 6151u, 12999u}) {
    EXPECT_EQ(Crc32c(bytes.substr(0, n)), SlowCrc(bytes.substr(0, n))) << n;
    EXPECT_EQ(Crc32c(bytes.substr(3, n - 1)), SlowCrc(bytes.substr(3, n - 1))) << n;
  }
}

TEST(Crc32c, ExtendsAndMasks) {
  EXPECT_EQ(ExtendCrc32c(Crc32c("hello "), "world", 5), Crc32c("hello world"));
  EXPECT_EQ(UnmaskCrc(MaskCrc(0x12345678u)), 0x12345678u);
  EXPECT_NE(MaskCrc(0x12345678u), 0x12345678u);
  EXPECT_EQ(MaskCrc(0), 0xa282ead8u);
}

}  // namespace
}  // namespace capstan
