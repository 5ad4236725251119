#include "data/input_format.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "data/sample_files.h"

namespace capstan {
namespace {

std::string DescribeText(const std::string& bytes, const std::vector<std::string>& names = {}) {
  MemoryFileSystem fs;
  fs.Put("f", bytes);
  const auto sample = LookAtInput(fs, "f", "", names);
  if (!sample.ok()) return Message(sample.status());
  // The compressed forms are the same.
  for (const bool zlib : {false, true}) {
    fs.Put("z", testing::Gzip(bytes, zlib));
    const auto packed = LookAtInput(fs, "z", "", names);
    EXPECT_TRUE(packed.ok()) << packed.status();
    EXPECT_EQ(Describe(packed->format), Describe(sample->format));
    EXPECT_EQ(packed->format.compression, zlib ? Compression::kZlib : Compression::kGzip);
    EXPECT_EQ(packed->records, sample->records);
  }
  return fmt::format("{} {} {}", Describe(sample->format), sample->format.columns,
                     sample->records.size());
}

TEST(InputFormatTest, FoundByLooking) {
  EXPECT_EQ(DescribeText(testing::NumberedFile(0, 3)), "tfrecord 0 3");
  EXPECT_EQ(DescribeText("1,2,3\n4,5,6\n"), "csv 3 2");
  EXPECT_EQ(DescribeText("a,b,c\n4,5,6\n"), "csv with header 3 1");
  EXPECT_EQ(DescribeText("a\tb\n4\t5\n"), "csv with header 2 1");
  EXPECT_EQ(DescribeText("a,1\nb,2\n"), "csv 2 2");
  EXPECT_EQ(DescribeText("a,b\n1,2\n", {"x", "y"}), "csv 2 2");
  EXPECT_EQ(DescribeText("x,y\n1,2\n", {"x", "y"}), "csv with header 2 1");
  EXPECT_EQ(DescribeText("1 3:1 4:0.5\n"), "libsvm 0 1");
  EXPECT_EQ(DescribeText("-1 qid:3 4:0.5\n+1 1:2\n"), "libsvm 0 2");
  EXPECT_EQ(DescribeText("0" + std::string(39, '\t') + "\n"), "criteo 0 1");
  EXPECT_EQ(DescribeText("\n \n"), "read f: has no records");
  EXPECT_EQ(DescribeText("x,y\n1\n", {"x", "y", "z"}),
            "read f: the first line has 2 columns, wanted 3");
}

// A record of 0x8b1f bytes begins like gzip, one of 0x9c78 like zlib.
TEST(InputFormatTest, ALengthThatLooksLikeCompression) {
  for (const size_t length : {0x8b1f, 0x9c78}) {
    MemoryFileSystem fs;
    std::string file;
    testing::AppendRecord(std::string(length, 'x'), &file);
    fs.Put("f", file);
    const auto sample = LookAtInput(fs, "f", "", {});
    ASSERT_TRUE(sample.ok()) << sample.status();
    EXPECT_EQ(sample->format.format, RecordFormat::kTfRecord);
    EXPECT_EQ(sample->format.compression, Compression::kNone);
    EXPECT_EQ(sample->records.size(), 1u);
  }
}

int LabelColumn(const std::string& bytes, int classes = 0) {
  MemoryFileSystem fs;
  fs.Put("f", bytes);
  return FindLabelColumn(*LookAtInput(fs, "f", "", {}), classes);
}

TEST(InputFormatTest, LabelFirstOrLast) {
  EXPECT_EQ(LabelColumn("5,1,0\n7,3,1\n9,4,0\n"), 2);    // fewer values
  EXPECT_EQ(LabelColumn("0,5.5,7\n1,3,8\n0,4,9\n"), 0);  // fewer values
  EXPECT_EQ(LabelColumn("2,7.2,3.6\n0,6.7,3.3\n"), 0);   // the last is not whole
  EXPECT_EQ(LabelColumn("2.5,7,3\n0,6,3\n"), 2);         // the first is not whole
  EXPECT_EQ(LabelColumn("2.5,7,3.5\n0.5,6,3\n"), 2);     // neither: regression
  EXPECT_EQ(LabelColumn("5,1,7\n7,3,6\n"), 2);           // both alike
  EXPECT_EQ(LabelColumn("1,1,7\n0,3,6\n", 2), 0);        // by the number of classes
}

}  // namespace
}  // namespace capstan
