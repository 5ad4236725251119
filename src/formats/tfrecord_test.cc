#include <gtest/gtest.h>

#include <cstdlib>

#include "base/crc32c.h"
#include "base/faulty_file_system.h"
#include "base/memory_file_system.h"
#include "formats/little_endian.h"
#include "formats/says.h"
#include "formats/tfrecord.h"
#include "formats/tfrecord_reader.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

class TfRecordTest : public ::testing::Test {
 protected:
  Status WriteRecords(const std::vector<std::string>& records, Compression compression) {
    ASSIGN_OR_RETURN(auto writer, TfRecordWriter::Create(fs_, kPath, compression));
    for (const std::string& record : records) RETURN_IF_ERROR(writer->Write(record));
    return writer->Close();
  }
  StatusOr<std::vector<std::string>> ReadRecords() {
    ASSIGN_OR_RETURN(auto reader, TfRecordReader::Open(fs_, kPath));
    std::vector<std::string> records;
    std::string_view record;
    while (true) {
      ASSIGN_OR_RETURN(const bool more, reader->Next(&record));
      if (!more) return records;
      records.emplace_back(record);
    }
  }
  void WriteBytes(std::string_view bytes) {
    auto file = fs_.Create(kPath);
    ASSERT_TRUE((*file)->Append(bytes).ok());
    ASSERT_TRUE((*file)->Close().ok());
  }
  std::string Bytes() { return *ReadFile(fs_, kPath); }

  static inline const std::string kPath = "part-0.tfrecord";
  MemoryFileSystem fs_;
};

std::vector<std::string> SomeRecords() {
  return {"", "a", std::string(1000, 'b'), std::string(700'000, 'c'), "last"};
}

TEST_F(TfRecordTest, RoundTripPlainAndCompressed) {
  for (const auto compression : {Compression::kNone, Compression::kGzip, Compression::kZlib}) {
    ASSERT_TRUE(WriteRecords(SomeRecords(), compression).ok());
    EXPECT_EQ(*DetectCompression(fs_, kPath), compression);
    const auto records = ReadRecords();
    ASSERT_TRUE(records.ok()) << Message(records.status());
    EXPECT_EQ(*records, SomeRecords());
  }
}

TEST_F(TfRecordTest, KnownBytes) {
  ASSERT_TRUE(WriteRecords({"x"}, Compression::kNone).ok());
  std::string wanted("\1\0\0\0\0\0\0\0", 8);
  AppendLittle32(MaskCrc(Crc32c(wanted)), &wanted);
  wanted += "x";
  AppendLittle32(MaskCrc(Crc32c("x")), &wanted);
  EXPECT_EQ(Bytes(), wanted);
}

TEST_F(TfRecordTest, EmptyAndMissingFiles) {
  WriteBytes("");
  EXPECT_TRUE(ReadRecords()->empty());
  ASSERT_TRUE(fs_.Remove(kPath).ok());
  const Status status = ReadRecords().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(Says(status, kPath));
}

TEST_F(TfRecordTest, SeeksAnywhere) {
  for (const auto compression : {Compression::kNone, Compression::kGzip}) {
    ASSERT_TRUE(WriteRecords(SomeRecords(), compression).ok());
    auto reader = TfRecordReader::Open(fs_, kPath);
    std::vector<uint64_t> offsets;
    std::string_view record;
    do {
      offsets.push_back((*reader)->offset());
    } while (*(*reader)->Next(&record));
    for (const int i : {3, 0, 4, 1, 2, 2}) {
      ASSERT_TRUE((*reader)->Seek(offsets[i]).ok());
      ASSERT_TRUE(*(*reader)->Next(&record));
      EXPECT_EQ(record, SomeRecords()[i]);
      EXPECT_EQ((*reader)->offset(), offsets[i + 1]);
    }
    EXPECT_FALSE((*reader)->Seek(offsets.back() + 1).ok());
  }
}

TEST_F(TfRecordTest, WrongPayloadCrcIsNamedAndPassed) {
  ASSERT_TRUE(WriteRecords({"first", "second", "third"}, Compression::kNone).ok());
  std::string bytes = Bytes();
  bytes[21 + 12] ^= 1;
  WriteBytes(bytes);
  auto reader = TfRecordReader::Open(fs_, kPath);
  std::string_view record;
  ASSERT_TRUE(*(*reader)->Next(&record));
  const Status status = (*reader)->Next(&record).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(Says(status, "read tfrecord part-0.tfrecord at offset 21: payload crc 0x"));
  EXPECT_TRUE((*reader)->can_continue());
  ASSERT_TRUE(*(*reader)->Next(&record));
  EXPECT_EQ(record, "third");
}

TEST_F(TfRecordTest, EveryCutIsAnErrorOrTheEnd) {
  ASSERT_TRUE(WriteRecords({"first", "", "third"}, Compression::kNone).ok());
  const std::string bytes = Bytes();
  for (size_t cut = 0; cut < bytes.size(); ++cut) {
    WriteBytes(bytes.substr(0, cut));
    const bool whole = cut == 0 || cut == 21 || cut == 37;
    auto reader = TfRecordReader::Open(fs_, kPath);
    ASSERT_TRUE(reader.ok());
    std::string_view record;
    StatusOr<bool> more = true;
    while (more.ok() && *more) more = (*reader)->Next(&record);
    EXPECT_EQ(more.ok(), whole) << cut;
    EXPECT_EQ((*reader)->ended_in_cut_record(), !whole);
    EXPECT_EQ((*reader)->can_continue(), whole);
    if (!whole) {
      EXPECT_TRUE(Says(more.status(), "at offset "));
    }
  }
}

TEST_F(TfRecordTest, EveryFlippedBitIsAnError) {
  ASSERT_TRUE(WriteRecords({"first", "", "third"}, Compression::kNone).ok());
  const std::string bytes = Bytes();
  for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
    WriteBytes(flipped);
    EXPECT_EQ(ReadRecords().status().code(), absl::StatusCode::kDataLoss) << bit;
  }
}

TEST_F(TfRecordTest, EveryDamageOfACompressedFileIsAnErrorOrTheSame) {
  for (const auto compression : {Compression::kGzip, Compression::kZlib}) {
    ASSERT_TRUE(WriteRecords({"first", "", "third"}, compression).ok());
    const std::string bytes = Bytes();
    for (size_t cut = 1; cut < bytes.size(); ++cut) {
      WriteBytes(bytes.substr(0, cut));
      EXPECT_FALSE(ReadRecords().ok()) << cut;
    }
    for (size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
      std::string flipped = bytes;
      flipped[bit / 8] ^= static_cast<char>(1 << (bit % 8));
      WriteBytes(flipped);
      const auto records = ReadRecords();
      // gzip's time, name and system fields are free to change.
      if (records.ok()) {
        EXPECT_EQ(records->size(), 3u) << bit;
      }
    }
    WriteBytes(bytes + "behind");
    EXPECT_FALSE(ReadRecords().ok());
  }
}

TEST_F(TfRecordTest, GzipMembersInARowAreOneFile) {
  ASSERT_TRUE(WriteRecords({"first"}, Compression::kGzip).ok());
  const std::string first = Bytes();
  ASSERT_TRUE(WriteRecords({"second"}, Compression::kGzip).ok());
  WriteBytes(first + Bytes());
  EXPECT_EQ(*ReadRecords(), std::vector<std::string>({"first", "second"}));
}

TEST_F(TfRecordTest, ALengthThatLooksCompressedIsPlain) {
  // 0x9c78 is how a zlib stream starts.
  const std::vector<std::string> records = {std::string(0x9c78, 'z')};
  ASSERT_TRUE(WriteRecords(records, Compression::kNone).ok());
  EXPECT_EQ(*ReadRecords(), records);
}

TEST_F(TfRecordTest, HostileLengthTakesNoMemory) {
  for (const uint64_t length : {kMaxRecordBytes, kMaxRecordBytes + 1, ~uint64_t{0}}) {
    std::string bytes;
    AppendLittle64(length, &bytes);
    AppendLittle32(MaskCrc(Crc32c(bytes)), &bytes);
    WriteBytes(bytes + "short");
    const Status status = ReadRecords().status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_TRUE(Says(status, "at offset 0"));
  }
}

TEST_F(TfRecordTest, FullDiskIsAnError) {
  FaultyFileSystem faulty(&fs_);
  for (const auto compression : {Compression::kNone, Compression::kGzip}) {
    for (const int64_t budget : {0, 10, 20}) {
      faulty.FailAfterBytes(budget);
      auto writer = TfRecordWriter::Create(faulty, kPath, compression);
      Status status = (*writer)->Write("some bytes");
      if (status.ok()) status = (*writer)->Close();
      EXPECT_TRUE(Says(status, kPath));
    }
  }
}

TEST_F(TfRecordTest, ReadsTheFilesOf2018) {
  const char* data = std::getenv("CAPSTAN_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "CAPSTAN_TEST_DATA is not set";
  const auto local = NewLocalFileSystem();
  auto reader = TfRecordReader::Open(
      *local, JoinPath(data, "deep_recommend_system/data/cancer/cancer_train.csv.tfrecords"));
  ASSERT_TRUE(reader.ok()) << Message(reader.status());
  std::string_view record;
  int count = 0;
  while (*(*reader)->Next(&record)) ++count;
  EXPECT_GT(count, 100);
}

}  // namespace
}  // namespace capstan
