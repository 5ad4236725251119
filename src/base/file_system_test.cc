#include "base/file_system.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/faulty_file_system.h"

namespace capstan {
namespace {

class FileSystemTest : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/capstan_fs_XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  void TearDown() override { ASSERT_TRUE(fs_->RemoveTree(folder_).ok()); }
  std::string Path(const std::string& name) { return JoinPath(folder_, name); }

  std::unique_ptr<FileSystem> fs_ = NewLocalFileSystem();
  std::string folder_;
};

TEST_F(FileSystemTest, WritesAndReadsBack) {
  const std::string large(1 << 20, 'x');
  ASSERT_TRUE(WriteFileAtomically(*fs_, Path("a"), large).ok());
  EXPECT_EQ(ReadFile(*fs_, Path("a")).value(), large);
  EXPECT_FALSE(fs_->Exists(Path("a.tmp")));
  const auto too_large = ReadFile(*fs_, Path("a"), 100);
  EXPECT_NE(Message(too_large.status()).find("1048576 bytes"), std::string::npos);
}

TEST_F(FileSystemTest, ErrorsNameThePath) {
  EXPECT_EQ(Message(ReadFile(*fs_, Path("absent")).status()),
            "open " + Path("absent") + ": No such file or directory");
  EXPECT_NE(Message(fs_->OpenForRead(folder_).status()).find("directory"), std::string::npos);
}

TEST_F(FileSystemTest, ExpandsListsAndGlobs) {
  ASSERT_TRUE(fs_->CreateFolder(Path("d1/x")).ok());
  ASSERT_TRUE(fs_->CreateFolder(Path("d2")).ok());
  for (const char* name : {"b.csv", "a.csv", "c.txt", "d1/e.csv", "d2/e.csv", ".hidden.csv"}) {
    ASSERT_TRUE(WriteFileAtomically(*fs_, Path(name), "").ok());
  }
  EXPECT_EQ(ExpandPaths(*fs_, Path("*.csv") + "," + Path("c.txt")).value(),
            (std::vector<std::string>{Path("a.csv"), Path("b.csv"), Path("c.txt")}));
  EXPECT_EQ(ExpandPaths(*fs_, Path("d?/e.csv")).value(),
            (std::vector<std::string>{Path("d1/e.csv"), Path("d2/e.csv")}));
  EXPECT_EQ(Message(ExpandPaths(*fs_, Path("*.none")).status()),
            "open " + Path("*.none") + ": no file matches");
  EXPECT_EQ(Message(ExpandPaths(*fs_, Path("none")).status()),
            "open " + Path("none") + ": no such file");
  EXPECT_FALSE(ExpandPaths(*fs_, "").ok());
}

TEST_F(FileSystemTest, AFullDiskLeavesTheOldFile) {
  FaultyFileSystem faulty(fs_.get());
  ASSERT_TRUE(WriteFileAtomically(faulty, Path("a"), "old").ok());
  faulty.FailAfterBytes(2);
  const Status status = WriteFileAtomically(faulty, Path("a"), "newer");
  EXPECT_NE(Message(status).find("No space left on device"), std::string::npos);
  EXPECT_EQ(ReadFile(*fs_, Path("a")).value(), "old");
  EXPECT_FALSE(fs_->Exists(Path("a.tmp")));
}

TEST(Paths, SplitAndJoin) {
  EXPECT_EQ(FolderOf("a/b/c"), "a/b");
  EXPECT_EQ(FolderOf("c"), ".");
  EXPECT_EQ(FolderOf("/c"), "/");
  EXPECT_EQ(FileNameOf("a/b"), "b");
  EXPECT_EQ(JoinPath("a/", "b"), "a/b");
}

}  // namespace
}  // namespace capstan
