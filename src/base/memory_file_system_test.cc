#include "base/memory_file_system.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using Names = std::vector<std::string>;

TEST(MemoryFileSystemTest, WritesReadsAndLists) {
  MemoryFileSystem fs;
  EXPECT_EQ(fs.OpenForRead("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(fs.Create("folder/a").ok());
  ASSERT_TRUE(fs.CreateFolder("folder/below").ok());
  auto file = fs.Create("folder/a");
  ASSERT_TRUE((*file)->Append("abc").ok());
  const auto reader = fs.OpenForRead("folder/a");
  ASSERT_TRUE((*file)->WriteAt(5, "z").ok());
  ASSERT_TRUE((*file)->Close().ok());
  EXPECT_EQ((*reader)->size_bytes(), 3u);
  EXPECT_EQ(*ReadFile(fs, "folder/a"), std::string("abc\0\0z", 6));
  EXPECT_EQ(*fs.List("folder"), Names({"a", "below"}));
  EXPECT_EQ(*fs.List("."), Names({"folder"}));
  EXPECT_FALSE(fs.OpenForRead("folder").ok());
  EXPECT_FALSE(fs.List("nowhere").ok());
}

TEST(MemoryFileSystemTest, RenamesAndRemoves) {
  MemoryFileSystem fs;
  fs.Put("/d/one", "1");
  fs.Put("/d/sub/two", "2");
  ASSERT_TRUE(fs.Rename("/d", "/e").ok());
  EXPECT_EQ(fs.Paths(), Names({"/e/one", "/e/sub/two"}));
  EXPECT_FALSE(fs.IsFolder("/d"));
  ASSERT_TRUE(fs.Rename("/e/one", "/e/sub/two").ok());
  EXPECT_EQ(*ReadFile(fs, "/e/sub/two"), "1");
  EXPECT_FALSE(fs.Remove("/e/one").ok());
  ASSERT_TRUE(fs.RemoveTree("/e").ok());
  EXPECT_TRUE(fs.Paths().empty());
  EXPECT_FALSE(fs.Exists("/e/sub"));
}

TEST(MemoryFileSystemTest, AtomicWriteLeavesNothingBeside) {
  MemoryFileSystem fs;
  ASSERT_TRUE(WriteFileAtomically(fs, "state", "old").ok());
  ASSERT_TRUE(WriteFileAtomically(fs, "state", "new").ok());
  EXPECT_EQ(*ReadFile(fs, "state"), "new");
  EXPECT_EQ(fs.Paths(), Names({"state"}));
}

}  // namespace
}  // namespace capstan
