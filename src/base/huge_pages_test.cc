#include "base/huge_pages.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace capstan {
namespace {

TEST(HugeBlock, IsZeroedAlignedAndMovable) {
  HugeBlock block = HugeBlock::Allocate(5 << 20).value();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(block.data()) % (2 << 20), 0u);
  for (size_t i = 0; i < block.size_bytes(); i += 4096) EXPECT_EQ(block.data()[i], 0);
  block.data()[7] = 'x';
  HugeBlock moved = std::move(block);
  EXPECT_EQ(moved.data()[7], 'x');
  EXPECT_EQ(block.data(), nullptr);
}

TEST(HugeBlock, SmallAndImpossibleSizes) {
  EXPECT_EQ(HugeBlock::Allocate(0).value().size_bytes(), 0u);
  EXPECT_EQ(HugeBlock::Allocate(100).value().size_bytes(), 100u);
  EXPECT_FALSE(HugeBlock::Allocate(size_t{1} << 60).ok());
}

}  // namespace
}  // namespace capstan
