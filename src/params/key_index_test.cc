#include "params/key_index.h"

#include <gtest/gtest.h>

#include <unordered_map>

namespace capstan {
namespace {

// An arena and index of bare headers, beside a map that cannot be wrong.
class KeyIndexTest : public testing::Test {
 protected:
  void Add(uint64_t key) {
    const uint32_t row = arena_.Allocate().value();
    RowLayout::Key(arena_.Address(row)) = key;
    RowLayout::LastStep(arena_.Address(row)) = 0;
    ASSERT_TRUE(index_.Insert(key, row).ok());
    wanted_[key] = row;
  }
  void Remove(uint64_t key) {
    index_.Erase(key);
    arena_.Free(wanted_[key]);
    wanted_.erase(key);
  }
  void ExpectAll() {
    std::vector<uint64_t> keys;
    for (const auto& [key, row] : wanted_) {
      keys.push_back(key);
      keys.push_back(key ^ (uint64_t{1} << 60));  // mostly unknown
    }
    std::vector<uint32_t> rows(keys.size());
    index_.FindBatch(keys, 16, rows.data());
    for (size_t i = 0; i < keys.size(); ++i) {
      const auto found = wanted_.find(keys[i]);
      ASSERT_EQ(rows[i], found == wanted_.end() ? RowArena::kNoRow : found->second) << i;
      ASSERT_EQ(index_.Find(keys[i]), rows[i]);
    }
  }

  RowArena arena_{16};
  KeyIndex index_{&arena_};
  std::unordered_map<uint64_t, uint32_t> wanted_;
};

TEST_F(KeyIndexTest, EmptyFindsNothing) {
  EXPECT_EQ(index_.Find(0), RowArena::kNoRow);
  index_.Erase(5);
}

TEST_F(KeyIndexTest, FindsAllAtEverySmallSize) {
  for (uint64_t key = 0; key < 300; ++key) {
    Add(key);
    ExpectAll();
  }
}

TEST_F(KeyIndexTest, GrowsThroughManySplitsInLittleMemory) {
  RandomStream random(1);
  int64_t checked = 100000;
  for (int64_t i = 0; i < 600000; ++i) {
    Add(random.Next());
    if (i != checked) continue;
    checked += 100000;
    ExpectAll();
    EXPECT_LT(static_cast<double>(index_.memory_bytes()) / i, 10.2) << i;
  }
  ExpectAll();
}

TEST_F(KeyIndexTest, ErasingAndInsertingForLongDoesNotGrowIt) {
  RandomStream random(2);
  std::vector<uint64_t> keys;
  for (int i = 0; i < 30000; ++i) {
    keys.push_back(random.Next());
    Add(keys.back());
  }
  const int64_t bytes = index_.memory_bytes();
  for (int i = 0; i < 300000; ++i) {
    uint64_t& key = keys[random.Below(keys.size())];
    Remove(key);
    key = random.Next();
    Add(key);
  }
  ExpectAll();
  EXPECT_LT(index_.memory_bytes(), bytes * 3 / 2);
  EXPECT_EQ(arena_.limit(), 30000u);
  for (const uint64_t key : keys) Remove(key);
  for (const uint64_t key : keys) EXPECT_EQ(index_.Find(key), RowArena::kNoRow);
}

TEST(RowArena, SmallTablesTakeLittleAndRowsStayWhereTheyAre) {
  RowArena arena(160);
  std::vector<char*> addresses;
  for (uint32_t i = 0; i < 50000; ++i) {
    const uint32_t row = arena.Allocate().value();
    ASSERT_EQ(row, i);
    addresses.push_back(arena.Address(row));
    RowLayout::Key(addresses.back()) = i;
    if (i == 2) {
      EXPECT_LT(arena.memory_bytes(), 4096);
    }
  }
  for (uint32_t i = 0; i < 50000; ++i) {
    ASSERT_EQ(arena.Address(i), addresses[i]);
    ASSERT_EQ(RowLayout::Key(addresses[i]), i);
  }
  arena.Free(7);
  arena.Free(9);
  EXPECT_FALSE(arena.IsLive(9));
  EXPECT_EQ(arena.live_rows(), 49998);
  EXPECT_EQ(arena.Allocate().value(), 9u);
  EXPECT_EQ(arena.Allocate().value(), 7u);
  EXPECT_EQ(arena.Allocate().value(), 50000u);
}

TEST(RowArena, LargeRows) {
  RowArena arena(3 << 20);
  for (uint32_t i = 0; i < 5; ++i) {
    const uint32_t row = arena.Allocate().value();
    arena.Address(row)[(3 << 20) - 1] = 'x';
  }
}

}  // namespace
}  // namespace capstan
