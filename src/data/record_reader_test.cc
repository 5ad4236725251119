#include "data/record_reader.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "data/sample_files.h"

namespace capstan {
namespace {

struct Line {
  std::string text;
  int64_t record;
  uint64_t offset;
  bool operator==(const Line&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Line& line) {
  return out << line.text << " @" << line.record << "/" << line.offset;
}

std::vector<Line> ReadLines(RecordReader* reader) {
  std::vector<Line> lines;
  std::string_view record;
  for (;;) {
    const StatusOr<bool> more = reader->Next(&record);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) return lines;
    lines.push_back({std::string(record), reader->place().record, reader->place().offset});
  }
}

TEST(RecordReaderTest, TextLinesWithTheirPlaces) {
  MemoryFileSystem fs;
  const std::string text =
      "\xef\xbb\xbf"
      "one\r\n\n  two\nlast";
  fs.Put("plain", text);
  fs.Put("gz", testing::Gzip(text));
  fs.Put("zlib", testing::Gzip(text, true));
  const std::vector<Line> expected = {{"one", 0, 0}, {"  two", 2, 9}, {"last", 3, 15}};
  for (const char* path : {"plain", "gz", "zlib"}) {
    auto reader = OpenRecordReader(fs, path, RecordFormat::kCsv);
    ASSERT_TRUE(reader.ok());
    EXPECT_EQ(ReadLines(reader->get()), expected);
    ASSERT_TRUE((*reader)->Seek({2, 9}).ok());
    EXPECT_EQ(ReadLines(reader->get()), (std::vector<Line>{expected[1], expected[2]}));
  }
}

TEST(RecordReaderTest, LongLinesAndManyBlocks) {
  MemoryFileSystem fs;
  std::string text;
  std::vector<Line> expected;
  for (int i = 0; i < 300; ++i) {
    const std::string line(1 + (i * 7919) % 6000, static_cast<char>('a' + i % 26));
    expected.push_back({line, i, text.size()});
    text += line + "\n";
  }
  expected.push_back({std::string(1 << 20, 'z'), 300, text.size()});
  text += expected.back().text;
  fs.Put("long", text);
  auto reader = OpenRecordReader(fs, "long", RecordFormat::kLibsvm);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(ReadLines(reader->get()), expected);
}

TEST(RecordReaderTest, PlacesInWords) {
  EXPECT_EQ(PlaceText(RecordFormat::kCsv, "a", {4, 99}), "read a at line 5");
  EXPECT_EQ(PlaceText(RecordFormat::kTfRecord, "a", {4, 99}), "read a at offset 99");
  EXPECT_EQ(Message(RecordFormatByName("tfrecords").status()),
            "format 'tfrecords' is not known, wanted tfrecord, csv, libsvm or criteo, nearest is "
            "'tfrecord'");
}

}  // namespace
}  // namespace capstan
