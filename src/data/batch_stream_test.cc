#include "data/batch_stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

#include "base/memory_file_system.h"
#include "data/sample_files.h"

namespace capstan {
namespace {

using testing::Gzip;
using testing::NumberedFile;

InputSpec NumberedSpec() {
  InputSpec spec;
  FeatureSpec id;
  id.name = "id";
  id.type = FeatureType::kId;
  FeatureSpec tags;
  tags.name = "tags";
  tags.type = FeatureType::kHash;
  tags.buckets = 1000;
  tags.multi_valued = true;
  FeatureSpec x;
  x.name = "x";
  spec.features = {id, x, tags};
  spec.id_columns = {"id"};
  spec.group = "id";
  return spec;
}

BatchStreamOptions Options(std::vector<std::string> paths) {
  BatchStreamOptions options;
  options.paths = std::move(paths);
  options.batch_size = 7;
  options.shuffle_block = 16;
  options.seed = 5;
  return options;
}

// A stream's batches from a position on; the error text, if it ends in one.
struct Reading {
  std::vector<std::unique_ptr<Batch>> batches;
  std::string error;
  BadRecords bad;
};

Reading ReadAll(FileSystem& fs, const InputSpec& spec, const BatchStreamOptions& options,
                const InputPosition& start = {}) {
  Reading run;
  auto stream = BatchStream::Open(fs, spec, options, start);
  if (!stream.ok()) {
    run.error = Message(stream.status());
    return run;
  }
  for (;;) {
    std::unique_ptr<Batch> batch;
    const StatusOr<bool> more = (*stream)->Next(&batch);
    if (!more.ok()) {
      run.error = Message(more.status());
      // Said once, said always.
      EXPECT_EQ(Message((*stream)->Next(&batch).status()), run.error);
    }
    if (!more.ok() || !*more) break;
    run.batches.push_back(std::move(batch));
  }
  run.bad = (*stream)->bad_records();
  return run;
}

void ExpectSamePosition(const InputPosition& a, const InputPosition& b) {
  EXPECT_EQ(a.epoch, b.epoch);
  EXPECT_EQ(a.block, b.block);
  EXPECT_EQ(a.batch, b.batch);
  EXPECT_EQ(a.example, b.example);
  EXPECT_EQ(a.file, b.file);
  EXPECT_EQ(a.record, b.record);
  EXPECT_EQ(a.offset, b.offset);
}

void ExpectSame(const Batch& a, const Batch& b) {
  EXPECT_EQ(a.size, b.size);
  EXPECT_EQ(a.dense, b.dense);
  ASSERT_EQ(a.columns.size(), b.columns.size());
  for (size_t i = 0; i < a.columns.size(); ++i) {
    EXPECT_EQ(a.columns[i].keys, b.columns[i].keys);
    EXPECT_EQ(a.columns[i].offsets, b.columns[i].offsets);
    EXPECT_EQ(a.columns[i].weights, b.columns[i].weights);
  }
  EXPECT_EQ(a.labels, b.labels);
  EXPECT_EQ(a.example_weights, b.example_weights);
  EXPECT_EQ(a.groups, b.groups);
  EXPECT_EQ(a.ids, b.ids);
  ExpectSamePosition(a.position, b.position);
}

void ExpectSameFrom(const std::vector<std::unique_ptr<Batch>>& whole, size_t cut,
                    const std::vector<std::unique_ptr<Batch>>& rest) {
  ASSERT_EQ(rest.size(), whole.size() - cut);
  for (size_t i = 0; i < rest.size(); ++i) ExpectSame(*whole[cut + i], *rest[i]);
}

std::vector<uint64_t> Ids(const Reading& run) {
  std::vector<uint64_t> ids;
  for (const auto& batch : run.batches) {
    ids.insert(ids.end(), batch->columns[0].keys.begin(), batch->columns[0].keys.end());
  }
  return ids;
}

TEST(BatchStreamTest, FileOrderWithoutShuffling) {
  MemoryFileSystem fs;
  fs.Put("b", NumberedFile(0, 10));
  fs.Put("a", NumberedFile(10, 6));
  BatchStreamOptions options = Options({"b", "a"});
  options.shuffle_block = 0;
  const Reading run = ReadAll(fs, NumberedSpec(), options);
  EXPECT_EQ(run.error, "");
  std::vector<uint64_t> expected(16);
  std::iota(expected.begin(), expected.end(), 0u);
  EXPECT_EQ(Ids(run), expected);
  ASSERT_EQ(run.batches.size(), 3u);
  const Batch& batch = *run.batches[1];
  EXPECT_EQ(batch.size, 7);
  EXPECT_EQ(batch.dense, (std::vector<float>{3.5, 4, 4.5, 5, 5.5, 6, 6.5}));
  EXPECT_EQ(batch.labels, (std::vector<float>{1, 0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(batch.ids[3], "10");
  EXPECT_EQ(batch.columns[1].offsets, (std::vector<uint32_t>{0, 3, 3, 4, 6, 9, 9, 10}));
  EXPECT_EQ(run.batches[2]->size, 2);
  EXPECT_EQ(run.batches[0]->position.file, 0);
  EXPECT_EQ(run.batches[0]->position.record, 7);
  EXPECT_EQ(run.batches[1]->position.file, 1);
  EXPECT_EQ(run.batches[1]->position.record, 4);
  EXPECT_EQ(run.batches[2]->position.epoch, 1);
  EXPECT_EQ(run.batches[2]->position.batch, 0);
}

TEST(BatchStreamTest, ShufflingPermutesExamplesOfEveryEpochAnew) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 40));
  fs.Put("b", NumberedFile(40, 30));
  BatchStreamOptions options = Options({"a", "b"});
  options.epochs = 2;
  const std::vector<uint64_t> ids = Ids(ReadAll(fs, NumberedSpec(), options));
  ASSERT_EQ(ids.size(), 140u);
  std::vector<uint64_t> first(ids.begin(), ids.begin() + 70), second(ids.begin() + 70, ids.end());
  EXPECT_NE(first, second);
  EXPECT_FALSE(std::is_sorted(first.begin(), first.begin() + 7));
  std::vector<uint64_t> all(70);
  std::iota(all.begin(), all.end(), 0u);
  for (std::vector<uint64_t>* epoch : {&first, &second}) {
    std::sort(epoch->begin(), epoch->end());
    EXPECT_EQ(*epoch, all);
  }
  options.seed = 6;
  EXPECT_NE(Ids(ReadAll(fs, NumberedSpec(), options)), ids);
}

TEST(BatchStreamTest, ResumesAtEveryBatchWithTheSameBits) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 37));
  fs.Put("b.gz", Gzip(NumberedFile(37, 20)));
  fs.Put("c", Gzip(NumberedFile(57, 1), true));
  fs.Put("d", NumberedFile(58, 22));
  for (const int64_t block : {0, 5, 16, 1000}) {
    for (const int batch_size : {1, 7, 40, 500}) {
      BatchStreamOptions options = Options({"a", "b.gz", "c", "d"});
      options.epochs = 3;
      options.shuffle_block = block;
      options.batch_size = batch_size;
      options.threads = 0;
      const Reading whole = ReadAll(fs, NumberedSpec(), options);
      ASSERT_EQ(whole.error, "");
      ASSERT_EQ(Ids(whole).size(), 240u);
      for (size_t cut = 0; cut < whole.batches.size(); cut += batch_size == 1 ? 7 : 1) {
        const Reading rest = ReadAll(fs, NumberedSpec(), options, whole.batches[cut]->position);
        ASSERT_EQ(rest.error, "");
        ExpectSameFrom(whole.batches, cut + 1, rest.batches);
        if (HasFailure()) return;
      }
    }
  }
}

TEST(BatchStreamTest, AnyNumberOfThreadsGivesTheSameBatches) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 300));
  fs.Put("b", NumberedFile(300, 211));
  for (const int batch_size : {3, 64, 1000}) {
    BatchStreamOptions options = Options({"a", "b"});
    options.batch_size = batch_size;
    options.epochs = 3;
    options.shuffle_block = 100;
    options.threads = 0;
    const Reading inline_run = ReadAll(fs, NumberedSpec(), options);
    for (const int threads : {1, 3}) {
      options.threads = threads;
      options.prefetch = threads;
      ExpectSameFrom(inline_run.batches, 0, ReadAll(fs, NumberedSpec(), options).batches);
    }
  }
}

TEST(BatchStreamTest, SpentBatchesAreUsedAgain) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 1000));
  for (const int threads : {0, 2}) {
    BatchStreamOptions options = Options({"a"});
    options.threads = threads;
    options.prefetch = 2;
    auto stream = BatchStream::Open(fs, NumberedSpec(), options, {});
    ASSERT_TRUE(stream.ok()) << stream.status();
    std::unique_ptr<Batch> batch;
    std::vector<const Batch*> seen;
    uint64_t sum = 0;
    for (;;) {
      const StatusOr<bool> more = (*stream)->Next(&batch);
      ASSERT_TRUE(more.ok());
      if (!*more) break;
      for (const uint64_t id : batch->columns[0].keys) sum += id;
      if (std::find(seen.begin(), seen.end(), batch.get()) == seen.end()) {
        seen.push_back(batch.get());
      }
    }
    EXPECT_EQ(batch, nullptr);
    EXPECT_EQ(sum, 999u * 1000 / 2);
    EXPECT_LE(seen.size(), 12u);
  }
}

TEST(BatchStreamTest, StopEndsAWaitInMidWork) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 2000));
  for (const int threads : {1, 3}) {
    BatchStreamOptions options = Options({"a"});
    options.epochs = 1'000'000;
    options.threads = threads;
    auto stream = BatchStream::Open(fs, NumberedSpec(), options, {});
    ASSERT_TRUE(stream.ok());
    int64_t batches = 0;
    std::thread consumer([&] {
      std::unique_ptr<Batch> batch;
      for (;;) {
        const StatusOr<bool> more = (*stream)->Next(&batch);
        if (!more.ok() || !*more) return;
        if (++batches == 100) (*stream)->Stop();
      }
    });
    consumer.join();
    EXPECT_EQ(batches, 100);
    // Once more while the threads have their queues full and nobody takes anything.
    stream->reset();
    stream = BatchStream::Open(fs, NumberedSpec(), options, {});
    std::unique_ptr<Batch> batch;
    ASSERT_TRUE(*(*stream)->Next(&batch));
    (*stream)->Stop();
    EXPECT_FALSE(*(*stream)->Next(&batch));
  }
}

TEST(BatchStreamTest, AnErrorComesWhereItsRecordStands) {
  MemoryFileSystem fs;
  std::string file = NumberedFile(0, 40);
  const size_t damaged = NumberedFile(0, 25).size();
  file[damaged + 20] ^= 1;  // in the payload of record 25
  fs.Put("a", file);
  for (const int threads : {0, 2}) {
    BatchStreamOptions options = Options({"a"});
    options.shuffle_block = 0;
    options.threads = threads;
    const Reading run = ReadAll(fs, NumberedSpec(), options);
    EXPECT_EQ(run.batches.size(), 3u);
    EXPECT_NE(run.error.find("read tfrecord a at offset " + std::to_string(damaged) + ": payload"),
              std::string::npos)
        << run.error;
    EXPECT_EQ(run.bad.count, 1);

    options.max_bad_records = 1;
    const Reading lenient = ReadAll(fs, NumberedSpec(), options);
    EXPECT_EQ(lenient.error, "");
    EXPECT_EQ(Ids(lenient).size(), 39u);
    EXPECT_EQ(lenient.batches[3]->size, 6);
    EXPECT_EQ(lenient.bad.count, 1);
    EXPECT_EQ(lenient.bad.first, std::vector<std::string>{run.error});

    options.epochs = 2;  // the same record again
    const Reading twice = ReadAll(fs, NumberedSpec(), options);
    EXPECT_EQ(twice.error, "");
    EXPECT_EQ(twice.bad.count, 1);
    EXPECT_EQ(twice.bad.first, lenient.bad.first);
    options.epochs = 1;
    options.paths.push_back(options.paths[0]);
    const Reading too_many = ReadAll(fs, NumberedSpec(), options);
    EXPECT_EQ(too_many.error, run.error + "; this is bad record 2, at most 1 are allowed");
  }
}

TEST(BatchStreamTest, BadRecordsAreTheSameForAnyNumberOfThreads) {
  MemoryFileSystem fs;
  InputSpec spec = NumberedSpec();
  spec.features[0].size = 60;  // ids above are bad
  fs.Put("a", NumberedFile(0, 100));
  fs.Put("cut", NumberedFile(0, 9).substr(0, 300));
  fs.Put("empty", "");
  BatchStreamOptions options = Options({"a", "cut", "empty", "missing"});
  options.max_bad_records = 1000;
  options.threads = 0;
  const Reading first = ReadAll(fs, spec, options);
  EXPECT_EQ(first.error, "");
  EXPECT_EQ(first.bad.count, 43);
  EXPECT_EQ(first.bad.first.size(), 10u);
  options.threads = 3;
  const Reading second = ReadAll(fs, spec, options);
  ExpectSameFrom(first.batches, 0, second.batches);
  EXPECT_EQ(second.bad.count, 43);
  EXPECT_EQ(second.bad.first, first.bad.first);
  bool found = false;
  for (const std::string& reason : first.bad.first) {
    found |= reason.find(": feature 'id' has id ") != std::string::npos &&
             reason.find(", which is outside [0, 60)") != std::string::npos;
  }
  EXPECT_TRUE(found) << first.bad.first[0];
}

TEST(BatchStreamTest, FilesThatCannotBeReadAreNamed) {
  MemoryFileSystem fs;
  fs.Put("good", NumberedFile(0, 3));
  fs.Put("empty", "");
  fs.Put("nothing.gz", Gzip(""));
  fs.Put("cut.gz", Gzip(NumberedFile(0, 500)).substr(0, 900));
  fs.Put("binary", std::string(64, '\x01'));
  BatchStreamOptions options = Options({"good"});
  options.shuffle_block = 0;
  const auto error = [&](std::vector<std::string> paths) {
    options.paths = std::move(paths);
    return ReadAll(fs, NumberedSpec(), options).error;
  };
  EXPECT_EQ(error({"empty"}), "read empty: has no records");
  EXPECT_EQ(error({"good", "empty"}), "read empty: has no records");
  EXPECT_EQ(error({"nothing.gz"}), "read nothing.gz: has no records");
  EXPECT_NE(error({"cut.gz"}).find("decompress cut.gz at byte 900"), std::string::npos)
      << error({"cut.gz"});
  EXPECT_NE(error({"binary"}).find("read binary: neither text nor tfrecord: length crc"),
            std::string::npos);
  EXPECT_NE(error({"gone"}).find("gone"), std::string::npos);
  EXPECT_NE(error({"good", "gone"}).find("gone"), std::string::npos);
  EXPECT_EQ(error({}), "there are no files to read");
}

TEST(BatchStreamTest, EveryCutOfAFileIsAnErrorOrFewerRecords) {
  MemoryFileSystem fs;
  const std::string file = NumberedFile(0, 4);
  for (const bool gzip : {false, true}) {
    const std::string bytes = gzip ? Gzip(file) : file;
    for (size_t n = 0; n < bytes.size(); ++n) {
      fs.Put("a", bytes.substr(0, n));
      BatchStreamOptions options = Options({"a"});
      options.threads = 0;
      options.format = "tfrecord";
      const Reading run = ReadAll(fs, NumberedSpec(), options);
      EXPECT_TRUE(!run.error.empty() || Ids(run).size() < 4u) << n;
      EXPECT_TRUE(!gzip || !run.error.empty()) << n;
    }
  }
}

TEST(BatchStreamTest, EveryFlippedBitIsAnErrorOrNamesNothing) {
  MemoryFileSystem fs;
  const std::string file = NumberedFile(0, 3);
  for (size_t i = 0; i < 8 * file.size(); ++i) {
    std::string bytes = file;
    bytes[i / 8] ^= static_cast<char>(1 << (i % 8));
    fs.Put("a", bytes);
    BatchStreamOptions options = Options({"a"});
    options.threads = 0;
    EXPECT_NE(ReadAll(fs, NumberedSpec(), options).error, "") << i;
  }
}

TEST(BatchStreamTest, APositionThatDoesNotFitIsAnError) {
  MemoryFileSystem fs;
  fs.Put("a", NumberedFile(0, 20));
  InputPosition position;
  position.file = 1;
  EXPECT_EQ(ReadAll(fs, NumberedSpec(), Options({"a"}), position).error,
            "read on at file 1 of 1, record 0: there is no such place");
  position.file = 0;
  position.example = 17;
  EXPECT_NE(ReadAll(fs, NumberedSpec(), Options({"a"}), position).error.find("example 17"),
            std::string::npos);
  position.example = 0;
  position.offset = 1 << 20;
  EXPECT_NE(ReadAll(fs, NumberedSpec(), Options({"a"}), position).error, "");
  position = InputPosition();
  position.epoch = 1;
  const Reading done = ReadAll(fs, NumberedSpec(), Options({"a"}), position);
  EXPECT_EQ(done.error, "");
  EXPECT_TRUE(done.batches.empty());
}

TEST(BatchStreamTest, ReportsWhatItFound) {
  MemoryFileSystem fs;
  fs.Put("a.gz", Gzip(NumberedFile(0, 20)));
  auto stream = BatchStream::Open(fs, NumberedSpec(), Options({"a.gz"}), {});
  ASSERT_TRUE(stream.ok());
  const InputReport& report = (*stream)->report();
  EXPECT_EQ(report.format, "tfrecord");
  EXPECT_EQ(report.compression, "gzip");
  EXPECT_EQ(report.label_type, "int64");
  EXPECT_EQ(report.text,
            "tfrecord (gzip), label int64, features: id int64[1], tags bytes[0..3], x float[1]");
}

}  // namespace
}  // namespace capstan
