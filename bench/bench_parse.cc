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
void WriteRecords(FileSystem& fs, const std::string& path, int records, int id_bits) {
  auto writer = TfRecordWriter::Create(fs, path, Compression::kNone);
  ExampleBuilder builder;
  RandomStream random(7);
  const std::vector<std::string> names = FeatureNames();
  for (int record = 0; record < records; ++record) {
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
  TemporaryFile(int records, int id_bits) : fs_(NewLocalFileSystem()) {
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("bench_parse_{}_{}.tfrecord", ::getpid(), id_bits);
    WriteRecords(*fs_, path_, records, id_bits);
  }
  ~TemporaryFile() { fs_->Remove(path_).IgnoreError(); }
  FileSystem& fs() const { return *fs_; }
  const std::string& path() const { return path_; }

 private:
  const std::unique_ptr<FileSystem> fs_;
  std::string path_;
};

void BenchRead(benchmark::State& state, const TemporaryFile& file, Work work) {
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
// What copying bytes out of main memory costs: the limit of any reader.
void BenchMemoryCopy(benchmark::State& state, size_t size_bytes) {
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
void Register(int id_bits, const TemporaryFile& file) {
  const std::pair<const char*, Work> works[] = {
      {"frame", Work::kFrame}, {"parse", Work::kParse}, {"values", Work::kValues}};
  for (const auto& [what, work] : works) {
    benchmark::RegisterBenchmark(
        fmt::format("{}/{}_bit_ids", what, id_bits).c_str(),
        [&file, work = work](benchmark::State& state) { BenchRead(state, file, work); })
        ->Unit(benchmark::kMillisecond);
  }
}

int Run(int argc, char** argv) {
  // --smoke: some moments, only to see that it runs.
  const bool smoke = argc > 1 && std::string_view(argv[1]) == "--smoke";
  const int records = smoke ? 2'000 : 200'000;
  const size_t copied_bytes = size_t{1} << (smoke ? 20 : 29);
  const TemporaryFile vocabulary_ids(records, 36);
  const TemporaryFile hashed_ids(records, 64);
  Register(36, vocabulary_ids);
  Register(64, hashed_ids);
  benchmark::RegisterBenchmark("memory_copy", BenchMemoryCopy, copied_bytes)
      ->Unit(benchmark::kMillisecond);
  std::vector<char*> words(argv, argv + argc);
  std::string min_time = "--benchmark_min_time=0.01";
  if (smoke) words[1] = min_time.data();
  int count = argc;
  benchmark::Initialize(&count, words.data());
  if (benchmark::ReportUnrecognizedArguments(count, words.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) { return capstan::Run(argc, argv); }
