#include <gtest/gtest.h>

#include <cstdlib>
#include <numeric>

#include "base/crc32c.h"
#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/bundle_index.h"
#include "formats/says.h"
#include "formats/tensor_bundle.h"
#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

std::vector<float> Numbers(size_t count, float first = 0) {
  std::vector<float> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}
std::string_view BytesOf(const std::vector<float>& values) {
  return std::string_view(reinterpret_cast<const char*>(values.data()), values.size() * 4);
}
const std::vector<std::string> kWords = {"", "word", std::string("\0\xff", 2),
                                         std::string(300, 'x')};

class TensorBundleTest : public ::testing::Test {
 protected:
  Status WriteSome(FileSystem& fs, const std::string& prefix) {
    ASSIGN_OR_RETURN(const auto writer, TensorBundleWriter::Create(fs, prefix));
    RETURN_IF_ERROR(writer->AddFloats("w", {3, 4}, Numbers(12)));
    ASSIGN_OR_RETURN(const int a, writer->OpenStream("a", DType::kFloat, {5}));
    ASSIGN_OR_RETURN(const int b, writer->OpenStream("b", DType::kFloat, {2, 2}));
    const std::vector<float> numbers = Numbers(9, 100);
    const std::string_view bytes = BytesOf(numbers);
    RETURN_IF_ERROR(writer->Append(a, bytes.substr(0, 6)));
    RETURN_IF_ERROR(writer->Append(b, bytes.substr(20, 16)));
    RETURN_IF_ERROR(writer->AddStrings("words", {2, 2}, kWords));
    RETURN_IF_ERROR(writer->Append(a, bytes.substr(6, 14)));
    const int64_t step = 42;
    RETURN_IF_ERROR(writer->AddInts("step", {}, std::span(&step, 1)));
    RETURN_IF_ERROR(writer->AddFloats("empty", {0, 3}, {}));
    return writer->Finish();
  }

  Status ReadAll(const std::string& prefix) {
    ASSIGN_OR_RETURN(const auto reader, TensorBundleReader::Open(fs_, prefix));
    for (const TensorEntry& entry : reader->entries()) {
      if (entry.dtype == DType::kString) {
        RETURN_IF_ERROR(reader->ReadStrings(entry.name).status());
        continue;
      }
      std::string bytes(ElementCount(entry.shape) * SizeOf(entry.dtype), '\0');
      RETURN_IF_ERROR(reader->Read(entry.name, bytes));
    }
    return OkStatus();
  }

  // Rewrites the index of `prefix` after `change`.
  template <typename Change>
  void ChangeIndex(const std::string& prefix, Change change) {
    BundleIndex index = *ReadBundleIndex(fs_, prefix);
    change(&index);
    fs_.Put(BundleIndexPath(prefix), *SerializeBundleIndex(index));
  }

  MemoryFileSystem fs_;
};

TEST_F(TensorBundleTest, RoundTrip) {
  ASSERT_TRUE(WriteSome(fs_, "m").ok());
  EXPECT_EQ(fs_.Paths(), std::vector<std::string>({"m.data-00000-of-00001", "m.index"}));
  const auto reader = TensorBundleReader::Open(fs_, "m");
  ASSERT_TRUE(reader.ok()) << Message(reader.status());
  ASSERT_EQ((*reader)->entries().size(), 6u);
  EXPECT_EQ((*reader)->shard_count(), 1);
  EXPECT_EQ(*(*reader)->ReadFloats("w"), Numbers(12));
  EXPECT_EQ(*(*reader)->ReadFloats("a"), Numbers(5, 100));
  EXPECT_EQ(*(*reader)->ReadFloats("b"), Numbers(4, 105));
  EXPECT_EQ(*(*reader)->ReadInts("step"), std::vector<int64_t>({42}));
  EXPECT_EQ(*(*reader)->ReadStrings("words"), kWords);
  EXPECT_TRUE((*reader)->ReadFloats("empty")->empty());
  EXPECT_EQ((*reader)->Find("w")->shape, Shape({3, 4}));
  EXPECT_EQ((*reader)->Find("none"), nullptr);

  std::string streamed;
  ASSERT_TRUE((*reader)
                  ->Stream("w", 20,
                           [&](uint64_t offset, std::string_view piece) {
                             EXPECT_EQ(offset, streamed.size());
                             EXPECT_LE(piece.size(), 20u);
                             streamed += piece;
                             return OkStatus();
                           })
                  .ok());
  EXPECT_EQ(streamed, BytesOf(Numbers(12)));
}

TEST_F(TensorBundleTest, WrongUseIsAnError) {
  ASSERT_TRUE(WriteSome(fs_, "m").ok());
  const auto reader = TensorBundleReader::Open(fs_, "m");
  EXPECT_TRUE(Says((*reader)->ReadFloats("none").status(), "tensor none is not in m"));
  EXPECT_TRUE(
      Says((*reader)->ReadInts("w").status(), "tensor w in m is float32 [3,4], wanted int64"));
  EXPECT_TRUE(Says((*reader)->ReadStrings("w").status(), "wanted strings"));
  EXPECT_TRUE(Says((*reader)->ReadFloats("words").status(), "is string [2,2], wanted float32"));
  std::string small(7, '\0');
  EXPECT_TRUE(Says((*reader)->Read("w", small), "of 48 bytes, wanted 7 bytes"));

  auto writer = TensorBundleWriter::Create(fs_, "n");
  EXPECT_TRUE((*writer)->AddFloats("w", {1}, Numbers(1)).ok());
  EXPECT_TRUE(Says((*writer)->AddFloats("w", {1}, Numbers(1)), "already there"));
  EXPECT_TRUE(Says((*writer)->AddFloats("", {1}, Numbers(1)), "a name is empty"));
  EXPECT_TRUE(Says((*writer)->AddFloats("v", {2}, Numbers(1)), "float32 [2] cannot have 4 bytes"));
  EXPECT_TRUE(Says((*writer)->AddStrings("v", {2}, kWords), "cannot have 4 elements"));
  EXPECT_TRUE(Says((*writer)->OpenStream("v", DType::kString, {2}).status(), "has no size"));
  EXPECT_TRUE(Says((*writer)->OpenStream("v", DType::kInt64, {1ll << 61}).status(), "has no size"));
  const int stream = *(*writer)->OpenStream("s", DType::kFloat, {2});
  EXPECT_TRUE(Says((*writer)->Append(stream, "123456789"), "has room for 8"));
  EXPECT_TRUE(Says((*writer)->Append(stream + 1, "1"), "there is no stream 1"));
  EXPECT_TRUE(Says((*writer)->Finish(), "8 of 8 bytes"));
  writer->reset();
  EXPECT_EQ(fs_.Paths().size(), 2u);  // of m
}

TEST_F(TensorBundleTest, EqualCallsGiveEqualBytes) {
  ASSERT_TRUE(WriteSome(fs_, "one").ok());
  ASSERT_TRUE(WriteSome(fs_, "two").ok());
  EXPECT_EQ(*ReadFile(fs_, "one.index"), *ReadFile(fs_, "two.index"));
  EXPECT_EQ(*ReadFile(fs_, "one.data-00000-of-00001"), *ReadFile(fs_, "two.data-00000-of-00001"));
}

TEST_F(TensorBundleTest, KnownHeader) {
  const auto writer = TensorBundleWriter::Create(fs_, "m");
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(ReadFile(fs_, "m.index")->substr(0, 9), std::string("\0\0\6\x08\1\x1a\2\x08\1", 9));
  EXPECT_TRUE((*TensorBundleReader::Open(fs_, "m"))->entries().empty());
}

TEST_F(TensorBundleTest, NothingIsThereBeforeFinish) {
  auto writer = TensorBundleWriter::Create(fs_, "m");
  ASSERT_TRUE((*writer)->AddFloats("w", {1}, Numbers(1)).ok());
  EXPECT_FALSE(fs_.Exists("m.index"));
  EXPECT_FALSE(fs_.Exists("m.data-00000-of-00001"));
  writer->reset();
  EXPECT_TRUE(fs_.Paths().empty());
}

TEST_F(TensorBundleTest, FullDiskLeavesNoHalfFilesAndTheOldBundle) {
  ASSERT_TRUE(WriteSome(fs_, "old").ok());
  const std::vector<std::string> before = fs_.Paths();
  FaultyFileSystem faulty(&fs_);
  int64_t budget = 0;
  Status status;
  for (;; budget += 5) {
    faulty.FailAfterBytes(budget);
    status = WriteSome(faulty, "new");
    if (status.ok()) break;
    EXPECT_TRUE(Says(status, "new.")) << budget;
    EXPECT_EQ(fs_.Paths(), before) << budget;
  }
  EXPECT_GT(budget, 400);
  EXPECT_TRUE(ReadAll("new").ok());
  faulty.SetReadOnly(true);
  EXPECT_FALSE(WriteSome(faulty, "newer").ok());
  EXPECT_TRUE(ReadAll("old").ok());
}

TEST_F(TensorBundleTest, LargeStreams) {
  const std::vector<float> large = Numbers(200'000);
  const auto writer = TensorBundleWriter::Create(fs_, "m");
  const int a = *(*writer)->OpenStream("a", DType::kFloat, {200'000});
  const int b = *(*writer)->OpenStream("b", DType::kFloat, {200'000});
  const std::string_view bytes = BytesOf(large);
  for (size_t done = 0, piece = 1; done < bytes.size(); done += piece, piece = 3 * piece + 1) {
    ASSERT_TRUE((*writer)->Append(a, bytes.substr(done, piece)).ok());
    ASSERT_TRUE((*writer)->Append(b, bytes.substr(done, piece)).ok());
  }
  ASSERT_TRUE((*writer)->AddFloats("c", {200'000}, large).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  const auto reader = TensorBundleReader::Open(fs_, "m");
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(*(*reader)->ReadFloats(name), large);
}

// Two writers with a piece of one table each, as parameter servers save.
TEST_F(TensorBundleTest, SlicesOfSeveralWritersMerge) {
  const std::vector<float> whole = Numbers(24);  // [4, 6]
  const std::vector<TensorSlice> rows = {{{0, 1}, {0, -1}}, {{1, 3}, {0, 6}}};
  const std::vector<TensorSlice> columns = {{{0, -1}, {0, 2}}, {{0, -1}, {2, 4}}};
  for (int part = 0; part < 2; ++part) {
    const auto writer = TensorBundleWriter::Create(fs_, "part-" + std::to_string(part));
    const int by_row = *(*writer)->OpenSliceStream("rows", DType::kFloat, {4, 6}, rows[part]);
    const int by_column =
        *(*writer)->OpenSliceStream("columns", DType::kFloat, {4, 6}, columns[part]);
    std::string piece;
    for (int r = 0; r < 4; ++r) {
      piece += BytesOf(whole).substr((r * 6 + (part == 0 ? 0 : 2)) * 4, (part == 0 ? 2 : 4) * 4);
    }
    ASSERT_TRUE((*writer)->Append(by_column, piece).ok());
    ASSERT_TRUE(
        (*writer)->Append(by_row, BytesOf(whole).substr(part * 24, part == 0 ? 24 : 72)).ok());
    ASSERT_TRUE((*writer)->AddFloats("own" + std::to_string(part), {2}, Numbers(2)).ok());
    ASSERT_TRUE((*writer)->Finish().ok());
    EXPECT_TRUE(Says(ReadAll("part-" + std::to_string(part)), "its slices have"));
  }
  const std::vector<std::string> parts = {"part-0", "part-1"};
  const Status merged = MergeTensorBundles(fs_, parts, "m");
  ASSERT_TRUE(merged.ok()) << Message(merged);
  EXPECT_EQ(fs_.Paths(), std::vector<std::string>(
                             {"m.data-00000-of-00002", "m.data-00001-of-00002", "m.index"}));
  const auto reader = TensorBundleReader::Open(fs_, "m");
  ASSERT_TRUE(reader.ok()) << Message(reader.status());
  EXPECT_EQ((*reader)->shard_count(), 2);
  ASSERT_EQ((*reader)->entries().size(), 4u);
  EXPECT_TRUE((*reader)->Find("rows")->partitioned);
  EXPECT_EQ((*reader)->Find("rows")->size_bytes, 96u);
  EXPECT_EQ(*(*reader)->ReadFloats("rows"), whole);
  EXPECT_EQ(*(*reader)->ReadFloats("columns"), whole);
  EXPECT_EQ(*(*reader)->ReadFloats("own1"), Numbers(2));
  EXPECT_TRUE(
      Says((*reader)->Stream("rows", 8, [](uint64_t, std::string_view) { return OkStatus(); }),
           "is partitioned"));

  // What can be wrong with slices.
  const BundleIndex good = *ReadBundleIndex(fs_, "m");
  const auto status_after = [&](auto change) {
    ChangeIndex("m", [&](BundleIndex* index) {
      for (BundleIndexEntry& entry : index->entries) {
        if (entry.key == "rows") change(&entry);
      }
    });
    const Status status = ReadAll("m");
    fs_.Put("m.index", *SerializeBundleIndex(good));
    return status;
  };
  using Entry = BundleIndexEntry;
  EXPECT_TRUE(Says(status_after([](Entry* e) { e->slices.pop_back(); }), "slices have 6 elements"));
  EXPECT_TRUE(Says(status_after([](Entry* e) { e->slices.push_back(e->slices[0]); }), "overlap"));
  EXPECT_TRUE(Says(status_after([](Entry* e) { e->slices[0][0].length = 2; }),
                   "read tensor rows in m: slice 0,2:- is missing"));
  EXPECT_TRUE(Says(status_after([](Entry* e) { e->slices[0].pop_back(); }), "has 1 dimensions"));
  EXPECT_TRUE(
      Says(status_after([](Entry* e) { e->dtype = DType::kInt32; }), "slice 0,1:- is float32"));
  EXPECT_TRUE(Says(status_after([](Entry* e) { e->shape = {4, 7}; }), "slice 0,1:- is float32"));
}

TEST_F(TensorBundleTest, MergeRefusesConflicts) {
  ASSERT_TRUE(WriteSome(fs_, "one").ok());
  ASSERT_TRUE(WriteSome(fs_, "two").ok());
  const std::vector<std::string> before = fs_.Paths();
  const std::vector<std::string> parts = {"one", "two"};
  EXPECT_TRUE(Says(MergeTensorBundles(fs_, parts, "m"), "tensor a is in two"));
  const std::vector<std::string> missing = {"one", "three"};
  EXPECT_TRUE(Says(MergeTensorBundles(fs_, missing, "m"), "three.index"));
  EXPECT_FALSE(MergeTensorBundles(fs_, {}, "m").ok());
  FaultyFileSystem faulty(&fs_);
  const std::vector<std::string> one = {"one"};
  faulty.FailAfterBytes(10);
  EXPECT_FALSE(MergeTensorBundles(faulty, one, "m").ok());
  EXPECT_EQ(fs_.Paths(), before);
  EXPECT_TRUE(MergeTensorBundles(fs_, one, "m").ok());
  EXPECT_TRUE(ReadAll("m").ok());
}

TEST_F(TensorBundleTest, RemovesAllItsFilesAndNoOthers) {
  ASSERT_TRUE(fs_.CreateFolder("d").ok());
  for (const char* prefix : {"d/m-1", "d/m-10"}) ASSERT_TRUE(WriteSome(fs_, prefix).ok());
  fs_.Put("d/m-1.data-00001-of-00002.tmp", "left by a killed writer");
  fs_.Put("d/m-1.database", "somebody's");
  ASSERT_TRUE(RemoveTensorBundle(fs_, "d/m-1").ok());
  EXPECT_EQ(fs_.Paths(), std::vector<std::string>(
                             {"d/m-1.database", "d/m-10.data-00000-of-00001", "d/m-10.index"}));
  EXPECT_TRUE(RemoveTensorBundle(fs_, "d/m-1").ok());
  EXPECT_TRUE(RemoveTensorBundle(fs_, "nowhere/m").ok());
}

TEST_F(TensorBundleTest, MissingAndEmptyFiles) {
  EXPECT_EQ(TensorBundleReader::Open(fs_, "m").status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteSome(fs_, "m").ok());
  const std::string index = *ReadFile(fs_, "m.index");
  fs_.Put("m.index", "");
  EXPECT_TRUE(Says(ReadAll("m"), "read index m.index: 0 bytes"));
  fs_.Put("m.index", index);
  fs_.Put("m.data-00000-of-00001", "");
  EXPECT_TRUE(Says(ReadAll("m"), "read tensor a in m: it lies at 48 to 68"));
  ASSERT_TRUE(fs_.Remove("m.data-00000-of-00001").ok());
  EXPECT_TRUE(Says(ReadAll("m"), "open m.data-00000-of-00001"));
}

TEST_F(TensorBundleTest, EveryCutAndEveryFlippedBitIsAnError) {
  ASSERT_TRUE(WriteSome(fs_, "m").ok());
  for (const std::string path : {"m.index", "m.data-00000-of-00001"}) {
    const std::string bytes = *ReadFile(fs_, path);
    for (size_t cut = 0; cut < bytes.size(); ++cut) {
      fs_.Put(path, bytes.substr(0, cut));
      EXPECT_TRUE(Says(ReadAll("m"), "read ")) << path << " " << cut;
    }
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      fs_.Put(path, flipped);
      EXPECT_TRUE(Says(ReadAll("m"), "read ")) << path << " " << bit;
    }
    fs_.Put(path, bytes);
  }
  EXPECT_TRUE(ReadAll("m").ok());
}

// Indexes whose CRCs are right and whose numbers are not.
TEST_F(TensorBundleTest, HostileEntriesAreErrors) {
  ASSERT_TRUE(WriteSome(fs_, "m").ok());
  const BundleIndex good = *ReadBundleIndex(fs_, "m");
  const auto status_after = [&](const char* name, auto change) {
    BundleIndex index = good;
    for (BundleIndexEntry& entry : index.entries) {
      if (entry.key == name) change(&entry);
    }
    fs_.Put("m.index", *SerializeBundleIndex(index));
    return ReadAll("m");
  };
  using Entry = BundleIndexEntry;
  constexpr int64_t kHuge = int64_t{1} << 61;
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shape = {kHuge}; }), "it has 48 bytes"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shape = {kHuge, 8}; }), "impossible"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shape = {-1}; }), "impossible"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shape = Shape(255, 1); }), "dimensions"));
  EXPECT_TRUE(Says(status_after("words", [](Entry* e) { e->shape = {kHuge}; }), "bytes"));
  EXPECT_TRUE(Says(status_after("words", [](Entry* e) { e->shape = {300}; }), "lengths"));
  EXPECT_TRUE(Says(status_after("words", [](Entry* e) { e->size_bytes = 3; }), "it has 3 bytes"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shard = 1; }), "shard 1 of 1"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->shard = -1; }), "shard -1 of 1"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->offset = kHuge; }), "which has"));
  EXPECT_TRUE(Says(status_after("w",
                                [](Entry* e) {
                                  e->shape = {kHuge / 4};
                                  e->size_bytes = kHuge;
                                }),
                   "read tensor w in m: it lies at 0 to"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->size_bytes = ~uint64_t{0}; }), "damaged"));
  EXPECT_TRUE(Says(status_after("w", [](Entry* e) { e->masked_crc32c = 0; }),
                   "read tensor w in m.data-00000-of-00001 at offset 0: crc"));
  EXPECT_TRUE(Says(status_after("w",
                                [](Entry* e) {
                                  e->slices = {{{0, 1}, {0, 1}}};
                                }),
                   "bytes of its own"));
  EXPECT_TRUE(status_after("w", [](Entry*) {}).ok());
  for (const int shards : {0, -1, kMaxShards + 1}) {
    BundleIndex index = good;
    index.shard_count = shards;
    fs_.Put("m.index", *SerializeBundleIndex(index));
    EXPECT_TRUE(Says(ReadAll("m"), "shards, expected 1 to"));
  }
}

TEST_F(TensorBundleTest, ReadsTheModelOf2017) {
  const char* data = std::getenv("CAPSTAN_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "CAPSTAN_TEST_DATA is not set";
  const auto local = NewLocalFileSystem();
  const auto reader = TensorBundleReader::Open(
      *local, JoinPath(data, "deep_recommend_system/minimal_model/model/00000001/export"));
  ASSERT_TRUE(reader.ok()) << Message(reader.status());
  ASSERT_FALSE((*reader)->entries().empty());
  for (const TensorEntry& entry : (*reader)->entries()) {
    std::string bytes(ElementCount(entry.shape) * SizeOf(entry.dtype), '\0');
    const Status status = (*reader)->Read(entry.name, bytes);
    EXPECT_TRUE(status.ok()) << Message(status);
  }
}

}  // namespace
}  // namespace capstan
