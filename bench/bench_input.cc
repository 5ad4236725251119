// Records per second of the input alone, on generated clicks (13 numbers and 26 ids per record,
// from files in the page cache): BatchStream with 0, 1 and 2 parsing threads, the scanner of
// blocks, and the generator itself.
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/worker_pool.h"
#include "data/batch_stream.h"
#include "data/block_scanner.h"
#include "data/click_generator.h"

namespace capstan {
namespace {

constexpr int64_t kRows = 200'000;

// The files live as long as the program.
class ClickFiles {
 public:
  ClickFiles() : fs_(NewLocalFileSystem()) {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("bench_input_{}", getpid());
    ClickGeneratorOptions options;
    options.prefix = (folder_ / "clicks").string();
    options.rows = kRows;
    options.files = 2;
    WorkerPool pool(2);
    auto generated = GenerateClicks(*fs_, options, &pool);
    if (!generated.ok()) {
      std::fprintf(stderr, "%s\n", Message(generated.status()).c_str());
      std::exit(1);
    }
    paths_ = generated->paths;
    size_bytes_ = generated->size_bytes;
  }
  ~ClickFiles() { std::filesystem::remove_all(folder_); }

  FileSystem& fs() { return *fs_; }
  const std::vector<std::string>& paths() const { return paths_; }
  int64_t size_bytes() const { return size_bytes_; }

 private:
  std::unique_ptr<FileSystem> fs_;
  std::filesystem::path folder_;
  std::vector<std::string> paths_;
  int64_t size_bytes_ = 0;
};

ClickFiles& Files() {
  static ClickFiles files;
  return files;
}

InputSpec ClickSpec() {
  InputSpec spec;
  spec.classes = 2;
  for (int i = 1; i <= 13; ++i) {
    FeatureSpec feature;
    feature.name = fmt::format("I{}", i);
    feature.log1p = true;
    spec.features.push_back(feature);
  }
  for (int i = 1; i <= 26; ++i) {
    FeatureSpec feature;
    feature.name = fmt::format("C{}", i);
    feature.type = FeatureType::kId;
    spec.features.push_back(feature);
  }
  return spec;
}

void BM_BatchStream(benchmark::State& state) {
  ClickFiles& files = Files();
  BatchStreamOptions options;
  options.paths = files.paths();
  options.batch_size = 2048;
  options.epochs = 5;
  options.threads = static_cast<int>(state.range(0));
  options.shuffle_block = state.range(1);
  int64_t rows = 0;
  for (auto _ : state) {
    auto stream = BatchStream::Open(files.fs(), ClickSpec(), options, InputPosition());
    if (!stream.ok()) return state.SkipWithError(Message(stream.status()).c_str());
    std::unique_ptr<Batch> batch;
    for (;;) {
      const auto more = (*stream)->Next(&batch);
      if (!more.ok()) return state.SkipWithError(Message(more.status()).c_str());
      if (!*more) break;
      rows += batch->size;
    }
  }
  state.SetItemsProcessed(rows);
  state.SetBytesProcessed(rows / kRows * files.size_bytes());
}
BENCHMARK(BM_BatchStream)
    ->ArgNames({"threads", "shuffle"})
    ->ArgsProduct({{0, 1, 2}, {0, 65536}})
    ->MeasureProcessCPUTime()
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

// Where blocks begin: what the chief of a cluster does ahead of its workers.
void BM_BlockScanner(benchmark::State& state) {
  ClickFiles& files = Files();
  BatchStreamOptions options;
  options.paths = files.paths();
  options.epochs = 5;
  int64_t rows = 0;
  for (auto _ : state) {
    auto scanner = BlockScanner::Open(files.fs(), ClickSpec(), options, InputPosition());
    if (!scanner.ok()) return state.SkipWithError(Message(scanner.status()).c_str());
    ScannedBlock block;
    for (;;) {
      const auto more = (*scanner)->Next(&block);
      if (!more.ok()) return state.SkipWithError(Message(more.status()).c_str());
      if (!*more) break;
      rows += block.examples;
    }
  }
  state.SetItemsProcessed(rows);
  state.SetBytesProcessed(rows / kRows * files.size_bytes());
}
BENCHMARK(BM_BlockScanner)->UseRealTime()->Unit(benchmark::kMillisecond);

void BM_Generate(benchmark::State& state) {
  ClickFiles& files = Files();
  ClickGeneratorOptions options;
  options.prefix = files.paths()[0] + ".again";
  options.rows = kRows;
  WorkerPool pool(2);
  for (auto _ : state) {
    const auto generated = GenerateClicks(files.fs(), options, &pool);
    if (!generated.ok()) return state.SkipWithError(Message(generated.status()).c_str());
  }
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * kRows);
}
BENCHMARK(BM_Generate)->MeasureProcessCPUTime()->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  // --smoke: some moments, only to see that it runs.
  std::vector<char*> words(argv, argv + argc);
  std::string min_time = "--benchmark_min_time=0.01";
  if (argc > 1 && std::string_view(argv[1]) == "--smoke") words[1] = min_time.data();
  benchmark::Initialize(&argc, words.data());
  if (benchmark::ReportUnrecognizedArguments(argc, words.data())) return 1;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
