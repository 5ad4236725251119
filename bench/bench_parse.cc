// Records per second of one core: TFRecord framing with both CRCs, the Example parsed, every value
// read. The records are Criteo-like: a label, 13 floats, 26 ids, about 688 bytes each.
// The bandwidth of memory (a plain copy of the same bytes) stands beside it.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"
#include "formats/example_builder.h"
#include "formats/example_parser.h"
#include "formats/tfrecord_reader.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

constexpr int kRecords = 200'000;
constexpr int kNumbers = 13;
constexpr int kCategoricals = 26;

std::vector<std::string> FeatureNames() {
  std::vector<std::string> names;
  for (int i = 1; i <= kCategoricals; ++i) names.push_back("C" + std::to_string(i));
  for (int i = 1; i <= kNumbers; ++i) names.push_back("I" + std::to_string(i));
  names.push_back("label");
  return names;
}

// The id bits decide the length of a record: 36 gives 688 bytes on average, 64 are hashes.
void WriteRecords(FileSystem& fs, const std::string& path, int id_bits) {
  auto writer = TfRecordWriter::Create(fs, path, Compression::kNone);
  ExampleBuilder builder;
  RandomStream random(7);
  const std::vector<std::string> names = FeatureNames();
  for (int record = 0; record < kRecords; ++record) {
    for (const std::string& name : names) {
      if (name[0] == 'C') {
        // Ids of a Zipf-like distribution: all magnitudes occur.
        const auto id = static_cast<int64_t>(random.Next() >> (64 - id_bits + random.Below(8)));
        builder.AddInts(name, std::span(&id, 1));
      } else {
        const auto value = static_cast<float>(random.Uniform());
        builder.AddFloats(name, std::span(&value, 1));
      }
    }
    (*writer)->Write(builder.Finish()).IgnoreError();
  }
  (*writer)->Close().IgnoreError();
}

void Report(benchmark::State& state, uint64_t records, uint64_t bytes) {
  state.counters["records/s"] = benchmark::Counter(records, benchmark::Counter::kIsRate);
  state.counters["bytes/s"] = benchmark::Counter(bytes, benchmark::Counter::kIsRate);
  state.counters["record_bytes"] = records == 0 ? 0 : static_cast<double>(bytes) / records;
}

enum class Work { kFrame, kParse, kValues };

bool ReadValues(std::span<const FeatureView> views, int64_t* ids, float* numbers) {
  bool good = true;
  for (int i = 0; i < kCategoricals; ++i) good &= ReadOneInt(views[i], ids + i);
  for (int i = 0; i <= kNumbers; ++i) good &= ReadOneFloat(views[kCategoricals + i], numbers + i);
  return good;
}

// A file of its own in the page cache.
class TemporaryFile {
 public:
  explicit TemporaryFile(int id_bits) : fs_(NewLocalFileSystem()) {
    path_ = std::filesystem::temp_directory_path() /
            ("bench_parse_" + std::to_string(::getpid()) + ".tfrecord");
    WriteRecords(*fs_, path_, id_bits);
  }
  ~TemporaryFile() { fs_->Remove(path_).IgnoreError(); }
  FileSystem& fs() { return *fs_; }
  const std::string& path() const { return path_; }

 private:
  const std::unique_ptr<FileSystem> fs_;
  std::string path_;
};

void BenchRead(benchmark::State& state, Work work) {
  TemporaryFile file(static_cast<int>(state.range(0)));
  ExampleParser parser(FeatureNames());
  std::vector<FeatureView> views(parser.names().size());
  int64_t ids[kCategoricals];
  float numbers[kNumbers + 1];
  uint64_t records = 0;
  uint64_t bytes = 0;
  for (auto _ : state) {
    auto reader = TfRecordReader::Open(file.fs(), file.path());
    std::string_view record;
    while (true) {
      const StatusOr<bool> more = (*reader)->Next(&record);
      if (!more.ok()) return state.SkipWithError(Message(more.status()).c_str());
      if (!*more) break;
      ++records;
      bytes += record.size();
      if (work == Work::kFrame) continue;
      if (!parser.Parse(record, views).ok()) return state.SkipWithError("bad record");
      if (work == Work::kParse) {
        benchmark::DoNotOptimize(views.data());
        continue;
      }
      if (!ReadValues(views, ids, numbers)) return state.SkipWithError("bad value");
      benchmark::DoNotOptimize(ids);
      benchmark::DoNotOptimize(numbers);
    }
  }
  Report(state, records, bytes);
}
BENCHMARK_CAPTURE(BenchRead, frame, Work::kFrame)->Arg(36)->Arg(64)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BenchRead, parse, Work::kParse)->Arg(36)->Arg(64)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(BenchRead, values, Work::kValues)
    ->Arg(36)
    ->Arg(64)
    ->Unit(benchmark::kMillisecond);

// What copying bytes out of main memory costs: the limit of any reader.
void BenchMemoryCopy(benchmark::State& state) {
  const size_t size_bytes = size_t{1} << 29;
  std::vector<char> from(size_bytes, 1);
  std::vector<char> to(1 << 18);
  uint64_t bytes = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < size_bytes; i += to.size()) {
      std::memcpy(to.data(), from.data() + i, to.size());
      benchmark::DoNotOptimize(to.data());
    }
    bytes += size_bytes;
  }
  Report(state, 0, bytes);
}
BENCHMARK(BenchMemoryCopy)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace capstan

BENCHMARK_MAIN();
