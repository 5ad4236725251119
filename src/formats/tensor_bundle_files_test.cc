#include "formats/tensor_bundle_files.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "formats/says.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

// A part with rows `first` … of a tensor "t" [n, 2] and one of its own.
void WritePart(FileSystem& fs, const std::string& prefix, float first, int rows, int columns = 2) {
  auto writer = TensorBundleWriter::Create(fs, prefix).value();
  std::vector<float> values;
  for (int i = 0; i < rows * columns; ++i) values.push_back(first + i);
  ASSERT_TRUE(writer->AddFloats("t", {rows, columns}, values).ok());
  ASSERT_TRUE(writer->AddInts("own/" + prefix, {1}, std::vector<int64_t>{rows}).ok());
  ASSERT_TRUE(writer->Finish().ok());
}

TEST(ConcatenateTensorBundles, JoinsRowsInTheOrderOfTheParts) {
  MemoryFileSystem fs;
  WritePart(fs, "a", 0, 2);
  WritePart(fs, "b", 100, 0);
  WritePart(fs, "c", 4, 3);
  ASSERT_TRUE(ConcatenateTensorBundles(fs, std::vector<std::string>{"a", "b", "c"}, "all").ok());
  const auto reader = TensorBundleReader::Open(fs, "all").value();
  EXPECT_EQ(reader->Find("t")->shape, (Shape{5, 2}));
  EXPECT_TRUE(reader->Find("t")->partitioned);
  EXPECT_EQ(reader->ReadFloats("t").value(), (std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(reader->ReadInts("own/c").value(), std::vector<int64_t>{3});
  EXPECT_FALSE(fs.Exists("a.index"));
}

TEST(ConcatenateTensorBundles, OnePartWithRowsIsPlain) {
  MemoryFileSystem fs;
  WritePart(fs, "a", 0, 0);
  WritePart(fs, "b", 1, 2);
  ASSERT_TRUE(ConcatenateTensorBundles(fs, std::vector<std::string>{"a", "b"}, "all").ok());
  const auto reader = TensorBundleReader::Open(fs, "all").value();
  EXPECT_FALSE(reader->Find("t")->partitioned);
  EXPECT_EQ(reader->ReadFloats("t").value(), (std::vector<float>{1, 2, 3, 4}));
}

TEST(ConcatenateTensorBundles, NoRowsAnywhereIsAnEmptyTensor) {
  MemoryFileSystem fs;
  WritePart(fs, "a", 0, 0);
  WritePart(fs, "b", 1, 0);
  ASSERT_TRUE(ConcatenateTensorBundles(fs, std::vector<std::string>{"a", "b"}, "all").ok());
  const auto reader = TensorBundleReader::Open(fs, "all").value();
  EXPECT_EQ(reader->Find("t")->shape, (Shape{0, 2}));
  EXPECT_TRUE(reader->ReadFloats("t").value().empty());
}

TEST(ConcatenateTensorBundles, RefusesPartsThatDoNotFit) {
  MemoryFileSystem fs;
  WritePart(fs, "a", 0, 2);
  WritePart(fs, "b", 1, 2, 3);
  EXPECT_TRUE(Says(ConcatenateTensorBundles(fs, std::vector<std::string>{"a", "b"}, "all"),
                   "tensor t is [2,2] in one part and [2,3] in another"));
  EXPECT_TRUE(fs.Exists("a.index"));
}

}  // namespace
}  // namespace capstan
