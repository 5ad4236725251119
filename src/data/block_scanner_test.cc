#include "data/block_scanner.h"

#include <gtest/gtest.h>

#include <atomic>

#include "base/memory_file_system.h"
#include "base/random.h"
#include "data/block_reader.h"
#include "data/sample_files.h"
#include "formats/says.h"

namespace capstan {
namespace {

using testing::Gzip;
using testing::NumberedFile;

InputSpec IdSpec() {
  InputSpec spec;
  FeatureSpec id;
  id.name = "id";
  id.type = FeatureType::kId;
  spec.features = {id};
  return spec;
}

BatchStreamOptions Options(std::vector<std::string> paths) {
  BatchStreamOptions options;
  options.paths = std::move(paths);
  options.batch_size = 7;
  options.shuffle_block = 16;
  options.seed = 5;
  options.epochs = 3;
  options.threads = 0;
  return options;
}

// Fields in one text, for comparisons.
std::string Text(const InputPosition& p) {
  return fmt::format("epoch {} block {} batch {} example {} file {} record {} offset {}", p.epoch,
                     p.block, p.batch, p.example, p.file, p.record, p.offset);
}

std::vector<ScannedBlock> ScanAll(FileSystem& fs, const BatchStreamOptions& options,
                                  const InputPosition& start = {}) {
  std::vector<ScannedBlock> blocks;
  auto scanner = BlockScanner::Open(fs, IdSpec(), options, start);
  EXPECT_TRUE(scanner.ok()) << scanner.status();
  if (!scanner.ok()) return blocks;
  for (;;) {
    ScannedBlock block;
    const InputPosition position = (*scanner)->position();
    const StatusOr<bool> more = (*scanner)->Next(&block);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) return blocks;
    EXPECT_EQ(Text(position), Text(block.start));
    blocks.push_back(block);
  }
}

// What BlockReader itself says.
std::vector<ScannedBlock> ReadAllBlocks(FileSystem& fs, BatchStreamOptions options) {
  options.blocks = 1;
  std::vector<ScannedBlock> blocks;
  const auto sample = LookAtInput(fs, options.paths[0], options.format, {});
  EXPECT_TRUE(sample.ok()) << sample.status();
  BlockReader reader(fs, BlockReaderOptionsOf(options, sample->format));
  EXPECT_TRUE(reader.Start({}).ok());
  const std::atomic<bool> stop = false;
  RecordBlock block;
  while (reader.Next(stop, &block)) {
    blocks.push_back({block.start, static_cast<int64_t>(block.entries.size())});
  }
  return blocks;
}

void ExpectScannerIsReader(FileSystem& fs, const BatchStreamOptions& options) {
  const std::vector<ScannedBlock> scanned = ScanAll(fs, options);
  const std::vector<ScannedBlock> read = ReadAllBlocks(fs, options);
  ASSERT_EQ(scanned.size(), read.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(Text(scanned[i].start), Text(read[i].start)) << i;
    EXPECT_EQ(scanned[i].examples, read[i].examples) << i;
  }
}

std::vector<uint64_t> ReadIds(FileSystem& fs, const BatchStreamOptions& options,
                              const InputPosition& start,
                              std::vector<InputPosition>* positions = nullptr,
                              std::vector<int>* sizes = nullptr) {
  std::vector<uint64_t> ids;
  auto stream = BatchStream::Open(fs, IdSpec(), options, start);
  EXPECT_TRUE(stream.ok()) << stream.status();
  if (!stream.ok()) return ids;
  std::unique_ptr<Batch> batch;
  for (;;) {
    const StatusOr<bool> more = (*stream)->Next(&batch);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) return ids;
    ids.insert(ids.end(), batch->columns[0].keys.begin(), batch->columns[0].keys.end());
    if (positions != nullptr) positions->push_back(batch->position);
    if (sizes != nullptr) sizes->push_back(batch->size);
  }
}

TEST(BlockScannerTest, FindsTheBlocksOfTheReader) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 37));
  fs.Put("b.gz", Gzip(NumberedFile(37, 20)));
  fs.Put("c", Gzip(NumberedFile(57, 1), true));
  fs.Put("d", NumberedFile(58, 22));
  for (const int64_t block : {0, 1, 5, 16, 20, 80, 1000}) {
    BatchStreamOptions options = Options({"a", "b.gz", "c", "d"});
    options.shuffle_block = block;
    ExpectScannerIsReader(fs, options);
    int64_t examples = 0;
    for (const ScannedBlock& found : ScanAll(fs, options)) examples += found.examples;
    EXPECT_EQ(examples, 240);
  }
}

TEST(BlockScannerTest, TextToo) {
  MemoryFileSystem fs;
  std::string with_header = "label,x\r\n", libsvm;
  for (int i = 0; i < 50; ++i) {
    with_header += fmt::format("{},{}\r\n{}", i % 2, i, i % 7 == 0 ? "\r\n" : "");
    libsvm += fmt::format("{} 1:{}\n", i % 2, i);
  }
  fs.Put("a.csv", with_header);
  fs.Put("b.csv", with_header + "1,3");
  fs.Put("c.svm", libsvm);
  fs.Put("d.svm", Gzip(libsvm));
  for (const int64_t block : {0, 7, 16, 1000}) {
    for (const auto& paths : {std::vector<std::string>{"a.csv", "b.csv"}, {"c.svm", "d.svm"}}) {
      BatchStreamOptions options = Options(paths);
      options.shuffle_block = block;
      ExpectScannerIsReader(fs, options);
    }
  }
}

TEST(BlockScannerTest, LongAndShortRecordsInOneFile) {
  MemoryFileSystem fs;
  RandomStream random(3);
  std::string file;
  for (int i = 0; i < 300; ++i) {
    const size_t size = random.Below(10) == 0 ? random.Below(400'000) : random.Below(300);
    testing::AppendRecord(std::string(size, 'x'), &file);
  }
  fs.Put("a", file);
  for (const int64_t block : {1, 7}) {
    BatchStreamOptions options = Options({"a"});
    options.shuffle_block = block;
    ExpectScannerIsReader(fs, options);
  }
}

TEST(BlockScannerTest, ABlockEndsWhenItsBytesAreMany) {
  MemoryFileSystem fs;
  std::string file;
  for (int i = 0; i < 5; ++i) {
    testing::AppendRecord(std::string(size_t{50} << 20, 'x'), &file);
  }
  file[100] ^= 1;  // its payload is damaged, which only the reader sees
  fs.Put("a", std::move(file));
  BatchStreamOptions options = Options({"a"});
  options.epochs = 1;
  ExpectScannerIsReader(fs, options);
  const std::vector<ScannedBlock> blocks = ScanAll(fs, options);
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[0].examples, 3);
}

TEST(BlockScannerTest, GoesOnFromAnyBlock) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 37));
  fs.Put("b.gz", Gzip(NumberedFile(37, 20)));
  for (const int64_t block : {0, 5, 16}) {
    BatchStreamOptions options = Options({"a", "b.gz"});
    options.shuffle_block = block;
    const std::vector<ScannedBlock> all = ScanAll(fs, options);
    for (size_t i = 0; i < all.size(); ++i) {
      const std::vector<ScannedBlock> rest = ScanAll(fs, options, all[i].start);
      ASSERT_EQ(rest.size(), all.size() - i);
      EXPECT_EQ(Text(rest.back().start), Text(all.back().start));
      EXPECT_EQ(rest.back().examples, all.back().examples);
    }
  }
}

TEST(BlockScannerTest, OneBlockStreamsAreTheWholeRun) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 37));
  fs.Put("b.gz", Gzip(NumberedFile(37, 20)));
  fs.Put("c", NumberedFile(57, 23));
  for (const int64_t block : {0, 5, 16, 1000}) {
    for (const int threads : {0, 2}) {
      BatchStreamOptions options = Options({"a", "b.gz", "c"});
      options.shuffle_block = block;
      options.threads = threads;
      const std::vector<uint64_t> whole = ReadIds(fs, options, {});
      std::vector<uint64_t> together;
      BatchStreamOptions one = options;
      one.blocks = 1;
      for (const ScannedBlock& found : ScanAll(fs, options)) {
        const std::vector<uint64_t> ids = ReadIds(fs, one, found.start);
        EXPECT_EQ(static_cast<int64_t>(ids.size()), found.examples);
        together.insert(together.end(), ids.begin(), ids.end());
      }
      EXPECT_EQ(together, whole);
      one.blocks = 3;
      const std::vector<uint64_t> three = ReadIds(fs, one, {});
      EXPECT_TRUE(std::equal(three.begin(), three.end(), whole.begin()));
    }
  }
}

TEST(BlockScannerTest, ABlockGoesOnBehindItsExamples) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 50));
  for (const int64_t block : {0, 16}) {
    BatchStreamOptions options = Options({"a"});
    options.shuffle_block = block;
    BatchStreamOptions one = options;
    one.blocks = 1;
    for (const ScannedBlock& found : ScanAll(fs, options)) {
      std::vector<InputPosition> positions;
      std::vector<int> sizes;
      const std::vector<uint64_t> whole = ReadIds(fs, one, found.start, &positions, &sizes);
      ASSERT_EQ(static_cast<int64_t>(sizes.size()), (found.examples + 6) / 7);
      EXPECT_EQ(sizes.back(), (found.examples - 1) % 7 + 1);
      for (size_t i = 0; i + 1 < sizes.size(); ++i) {
        InputPosition behind = found.start;
        behind.example = 7 * static_cast<int64_t>(i + 1);
        behind.batch = static_cast<int64_t>(i + 1);
        EXPECT_EQ(Text(behind), Text(positions[i]));
      }
      EXPECT_EQ(positions.back().batch, static_cast<int64_t>(sizes.size()));
      for (int64_t k = 0; k <= found.examples; ++k) {
        InputPosition behind = found.start;
        behind.example = k;
        EXPECT_EQ(ReadIds(fs, one, behind), std::vector<uint64_t>(whole.begin() + k, whole.end()));
      }
    }
  }
}

TEST(BlockScannerTest, DamageIsAnErrorOrARecord) {
  MemoryFileSystem fs;
  std::string file = NumberedFile(0, 40);
  const size_t damaged = NumberedFile(0, 25).size();
  file[damaged + 9] ^= 1;  // the length's CRC
  fs.Put("a", file);
  fs.Put("b", NumberedFile(40, 20));
  fs.Put("cut", NumberedFile(60, 9).substr(0, 300));
  fs.Put("empty", "");
  BatchStreamOptions options = Options({"b", "a", "cut", "empty", "missing"});
  auto scanner = BlockScanner::Open(fs, IdSpec(), options, {});
  ASSERT_TRUE(scanner.ok());
  StatusOr<bool> more = true;
  ScannedBlock block;
  while (more.ok() && *more) more = (*scanner)->Next(&block);
  EXPECT_FALSE(more.ok());

  options.paths = {"a"};
  scanner = BlockScanner::Open(fs, IdSpec(), options, {});
  ASSERT_TRUE(scanner.ok());
  ASSERT_TRUE((*scanner)->Next(&block).ok());
  EXPECT_TRUE(Says((*scanner)->Next(&block).status(),
                   fmt::format("read tfrecord a at offset {}: length crc", damaged)));

  options.paths = {"b", "a", "cut", "empty", "missing"};
  options.max_bad_records = 100;
  for (const int64_t records : {0, 1, 7, 16}) {
    options.shuffle_block = records;
    ExpectScannerIsReader(fs, options);
  }
}

TEST(BlockScannerTest, EveryCutAndEveryFlippedBitEndsAsTheReaderDoes) {
  MemoryFileSystem fs;
  const std::string file = NumberedFile(0, 3);
  BatchStreamOptions options = Options({"good", "a"});
  options.format = "tfrecord";
  options.max_bad_records = 1000;
  options.shuffle_block = 2;
  options.epochs = 1;
  fs.Put("good", NumberedFile(3, 2));
  for (size_t n = 0; n < file.size(); ++n) {
    fs.Put("a", file.substr(0, n));
    ExpectScannerIsReader(fs, options);
  }
  for (size_t i = 0; i < 8 * file.size(); ++i) {
    std::string bytes = file;
    bytes[i / 8] ^= static_cast<char>(1 << (i % 8));
    fs.Put("a", bytes);
    ExpectScannerIsReader(fs, options);
  }
}

TEST(BlockScannerTest, RefusesPlacesThatAreNone) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 20));
  InputPosition position;
  position.example = 3;
  EXPECT_TRUE(Says(BlockScanner::Open(fs, IdSpec(), Options({"a"}), position).status(),
                   "find blocks from example 3 of block 0 on: a block begins at 0"));
  position.example = 0;
  position.file = 1;
  EXPECT_TRUE(Says(BlockScanner::Open(fs, IdSpec(), Options({"a"}), position).status(),
                   "there is no such place"));
  EXPECT_TRUE(Says(BlockScanner::Open(fs, IdSpec(), Options({}), {}).status(), "no files"));
}

}  // namespace
}  // namespace capstan
