#include "formats/bundle_digest.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

struct Table {
  std::vector<int64_t> keys = {7, -3, 5};
  std::vector<float> rows = {7, 7.5f, 3, 3.5f, 5, 5.5f};  // [3, 2]
  std::vector<int64_t> freqs = {70, 30, 50};
  std::vector<float> bias = {1, 2, 3};  // of no table
};

std::string DigestOf(const Table& table) {
  MemoryFileSystem fs;
  const auto writer = TensorBundleWriter::Create(fs, "m");
  EXPECT_TRUE((*writer)->AddInts("emb-keys", {3}, table.keys).ok());
  EXPECT_TRUE((*writer)->AddFloats("emb/Adagrad", {3, 2}, table.rows).ok());
  EXPECT_TRUE((*writer)->AddInts("emb-freqs", {3}, table.freqs).ok());
  EXPECT_TRUE((*writer)->AddFloats("embrace", {3}, table.bias).ok());
  EXPECT_TRUE((*writer)->Finish().ok());
  return *DigestBundle(**TensorBundleReader::Open(fs, "m"));
}

TEST(BundleDigestTest, OrderOfRowsDoesNotCount) {
  const std::string digest = DigestOf({});
  EXPECT_EQ(digest.size(), 32u);
  EXPECT_EQ(digest, DigestOf({}));
  EXPECT_EQ(
      digest,
      DigestOf({.keys = {-3, 5, 7}, .rows = {3, 3.5f, 5, 5.5f, 7, 7.5f}, .freqs = {30, 50, 70}}));
}

TEST(BundleDigestTest, EverythingElseCounts) {
  const std::string digest = DigestOf({});
  EXPECT_NE(digest, DigestOf({.keys = {-3, 7, 5}}));
  EXPECT_NE(digest, DigestOf({.keys = {8, -3, 5}}));
  EXPECT_NE(digest, DigestOf({.rows = {7, 7.5f, 3, 3.5f, 5, 5.25f}}));
  EXPECT_NE(digest, DigestOf({.freqs = {70, 50, 30}}));
  EXPECT_NE(digest, DigestOf({.bias = {1, 3, 2}}));
}

TEST(BundleDigestTest, PartitionsDoNotCount) {
  MemoryFileSystem fs;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto plain = TensorBundleWriter::Create(fs, "plain");
  ASSERT_TRUE((*plain)->AddFloats("v", {3, 2}, values).ok());
  ASSERT_TRUE((*plain)->Finish().ok());
  const auto cut = TensorBundleWriter::Create(fs, "cut");
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), 24);
  const int below = *(*cut)->OpenSliceStream("v", DType::kFloat, {3, 2}, {{1, 2}, {0, 2}});
  const int above = *(*cut)->OpenSliceStream("v", DType::kFloat, {3, 2}, {{0, 1}, {0, 2}});
  ASSERT_TRUE((*cut)->Append(below, bytes.substr(8)).ok());
  ASSERT_TRUE((*cut)->Append(above, bytes.substr(0, 8)).ok());
  ASSERT_TRUE((*cut)->Finish().ok());
  EXPECT_EQ(*DigestBundle(**TensorBundleReader::Open(fs, "plain")),
            *DigestBundle(**TensorBundleReader::Open(fs, "cut")));
}

TEST(BundleDigestTest, StringKeysAndScalars) {
  const auto digest_of = [](const std::vector<std::string>& keys, const std::vector<float>& rows) {
    MemoryFileSystem fs;
    const auto writer = TensorBundleWriter::Create(fs, "m");
    EXPECT_TRUE((*writer)->AddStrings("city-keys", {2}, keys).ok());
    EXPECT_TRUE((*writer)->AddFloats("city-values", {2}, rows).ok());
    const int64_t step = 1;
    EXPECT_TRUE((*writer)->AddInts("city-step", {}, std::span(&step, 1)).ok());
    EXPECT_TRUE((*writer)->Finish().ok());
    return *DigestBundle(**TensorBundleReader::Open(fs, "m"));
  };
  EXPECT_EQ(digest_of({"b", "a"}, {2, 1}), digest_of({"a", "b"}, {1, 2}));
  EXPECT_NE(digest_of({"b", "a"}, {2, 1}), digest_of({"b", "a"}, {1, 2}));
}

}  // namespace
}  // namespace capstan
