#include "formats/sorted_table.h"

#include <gtest/gtest.h>
#include <snappy.h>

#include <map>

#include "base/crc32c.h"
#include "formats/little_endian.h"
#include "formats/says.h"
#include "formats/varint.h"

namespace capstan {
namespace {

using Entries = std::map<std::string, std::string>;

std::string Build(const Entries& entries, size_t block_bytes) {
  SortedTableBuilder builder(block_bytes);
  for (const auto& [key, value] : entries) EXPECT_TRUE(builder.Add(key, value).ok());
  return builder.Finish();
}

StatusOr<Entries> ReadAll(std::string_view bytes) {
  Entries entries;
  RETURN_IF_ERROR(
      ReadSortedTable(bytes, "x.index", [&](std::string_view key, std::string_view value) {
        entries.emplace(key, value);
        return OkStatus();
      }));
  return entries;
}

Entries SomeEntries(int count) {
  Entries entries = {{"", "header"}, {std::string("\0a", 2), "slice"}, {"\xff\xff", "last"}};
  for (int i = 0; i < count; ++i) {
    entries["layer" + std::to_string(i) + "/kernel"] = std::string(i % 7, 'v');
  }
  return entries;
}

std::string WithTrailer(std::string block, char type) {
  block.push_back(type);
  AppendLittle32(MaskCrc(Crc32c(block)), &block);
  return block;
}

// A table of one data block, whose stored bytes and type are given.
std::string TableOf(const std::string& stored, char type) {
  std::string table = WithTrailer(stored, type);
  TableBlockBuilder metaindex(1);
  TableBlockBuilder index(1);
  std::string handle;
  AppendVarint(0, &handle);
  AppendVarint(stored.size(), &handle);
  index.Add("zzz", handle);
  std::string footer;
  for (const std::string& block : {metaindex.Finish(), index.Finish()}) {
    AppendVarint(table.size(), &footer);
    AppendVarint(block.size(), &footer);
    table += WithTrailer(block, 0);
  }
  footer.resize(kTableFooterBytes - 8);
  AppendLittle64(kTableMagic, &footer);
  return table + footer;
}

TEST(SortedTableTest, RoundTripInBlocksOfAnySize) {
  for (const int count : {0, 1, 15, 16, 17, 1000}) {
    for (const size_t block_bytes : {size_t{1}, size_t{64}, size_t{1000}, kTableBlockBytes}) {
      const Entries entries = SomeEntries(count);
      const auto read = ReadAll(Build(entries, block_bytes));
      ASSERT_TRUE(read.ok()) << Message(read.status());
      EXPECT_EQ(*read, entries);
    }
  }
  EXPECT_TRUE(ReadAll(SortedTableBuilder().Finish())->empty());
}

TEST(SortedTableTest, KnownBytes) {
  SortedTableBuilder builder;
  ASSERT_TRUE(builder.Add("", "h").ok());
  ASSERT_TRUE(builder.Add("abc", "1").ok());
  ASSERT_TRUE(builder.Add("abd", "2").ok());
  const std::string block("\0\0\1h\0\3\1abc1\2\1\1d2\0\0\0\0\1\0\0\0", 24);
  const std::string metaindex("\0\0\0\0\1\0\0\0", 8);
  const std::string index("\0\1\2b\0\x18\0\0\0\0\1\0\0\0", 14);
  std::string wanted = WithTrailer(block, 0) + WithTrailer(metaindex, 0) + WithTrailer(index, 0);
  wanted += std::string("\x1d\x08\x2a\x0e", 4) + std::string(36, '\0');
  AppendLittle64(kTableMagic, &wanted);
  EXPECT_EQ(builder.Finish(), wanted);
}

TEST(SortedTableTest, KeysOutOfOrderAreRefused) {
  SortedTableBuilder builder;
  ASSERT_TRUE(builder.Add("b", "").ok());
  EXPECT_FALSE(builder.Add("b", "").ok());
  EXPECT_FALSE(builder.Add("a", "").ok());
  EXPECT_FALSE(builder.Add(std::string(kMaxTableKeyBytes + 1, 'z'), "").ok());
}

TEST(SortedTableTest, SnappyBlocks) {
  TableBlockBuilder block(16);
  Entries entries;
  for (int i = 100; i < 300; ++i) {
    entries["k" + std::to_string(i)] = "the same value";
    block.Add("k" + std::to_string(i), "the same value");
  }
  std::string packed;
  const std::string plain = block.Finish();
  snappy::Compress(plain.data(), plain.size(), &packed);
  ASSERT_LT(packed.size(), plain.size());
  const auto read = ReadAll(TableOf(packed, 1));
  ASSERT_TRUE(read.ok()) << Message(read.status());
  EXPECT_EQ(*read, entries);
  // Right CRC, wrong content.
  EXPECT_TRUE(Says(ReadAll(TableOf(plain, 1)).status(), "Snappy block is damaged"));
  EXPECT_TRUE(Says(ReadAll(TableOf(plain, 2)).status(), "unknown compression"));
  // It claims to be 4 GB.
  EXPECT_TRUE(Says(ReadAll(TableOf("\xff\xff\xff\xff\x0f", 1)).status(), "Snappy block"));
}

TEST(SortedTableTest, EveryCutAndEveryFlippedBitIsAnError) {
  const std::string table = Build(SomeEntries(20), 100);
  for (size_t cut = 0; cut < table.size(); ++cut) {
    const std::string copy = table.substr(0, cut);
    EXPECT_TRUE(Says(ReadAll(copy).status(), "read index x.index")) << cut;
  }
  for (size_t bit = 0; bit < 8 * table.size(); ++bit) {
    std::string flipped = table;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    EXPECT_TRUE(Says(ReadAll(flipped).status(), "read index x.index")) << bit;
  }
}

// Blocks with a right CRC and wrong content.
TEST(SortedTableTest, HostileBlocksAreErrors) {
  const std::string restarts("\0\0\0\0\1\0\0\0", 8);
  EXPECT_TRUE(Says(ReadAll(TableOf("", 0)).status(), "restarts"));
  EXPECT_TRUE(Says(ReadAll(TableOf(std::string("\xff\xff\xff\xff", 4), 0)).status(), "restarts"));
  for (const std::string& entry :
       {std::string("\5\1\1ab", 5), std::string("\0\xff\xff\xff\xff\x0f", 6),
        std::string("\0\1\7ab", 5), std::string("\0", 1),
        std::string("\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\1", 12)}) {
    EXPECT_TRUE(Says(ReadAll(TableOf(entry + restarts, 0)).status(), "at offset 0: an entry"));
  }
  EXPECT_TRUE(Says(ReadAll(TableOf(std::string("\0\1\0b\0\1\0a", 8) + restarts, 0)).status(),
                   "not in order"));
  EXPECT_TRUE(Says(ReadAll(TableOf(std::string("\0\4\0zzzz", 7) + restarts, 0)).status(),
                   "above its key in the index"));
  // Keys that share 60,000 bytes cost 4 bytes each.
  std::string entries;
  AppendVarint(0, &entries);
  AppendVarint(60'000, &entries);
  entries += '\0' + std::string(60'000, 'k');
  for (int i = 1; i < 2000; ++i) {
    AppendVarint(60'000 + i - 1, &entries);
    entries += std::string("\1\0a", 3);
  }
  EXPECT_TRUE(Says(ReadAll(TableOf(entries + restarts, 0)).status(), "larger than the file"));
}

}  // namespace
}  // namespace capstan
