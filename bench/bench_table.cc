// What row tables cost: (a) Pull + Push of uniformly random rows beside a plain gather of the same
// bytes, (b) bytes per row and the worst pause while a table grows, (c) what a snapshot costs.
//
//   bench_table [--rows=1000000] [--big_rows=20000000] [--smoke]
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include "base/huge_pages.h"
#include "base/random.h"
#include "params/local_parameters.h"

namespace capstan {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Processor time of the whole program: what others do on the machine counts less.
double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double ThreadCpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

int64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

TableSpec Table(const std::string& name, bool wide) {
  TableSpec spec{.name = name};
  if (wide) spec.parts.push_back({.name = "wide", .dim = 1});
  spec.parts.push_back({.name = "embedding",
                        .dim = 16,
                        .initializer = {.kind = Initializer::Kind::kUniform, .scale = 0.05f}});
  return spec;
}

// One batch: distinct uniform keys of each table, and gradients that all tables share.
struct Batch {
  std::vector<std::vector<uint64_t>> keys;
  std::vector<uint32_t> counts;
  std::vector<float> gradients;
  std::vector<TableKeys> pull;
  Gradients push;
};

void FillBatch(uint64_t seed, int tables, int64_t keys, int64_t key_space, int gradient_dim,
               Batch* batch) {
  RandomStream random(seed);
  batch->keys.assign(tables, {});
  batch->counts.assign(keys, 1);
  batch->gradients.assign(keys * gradient_dim, 0.01f);
  batch->pull.clear();
  batch->push.rows.clear();
  for (auto& table_keys : batch->keys) {
    for (int64_t i = 0; i < keys; ++i) table_keys.push_back(MixBits(random.Below(key_space)));
    std::sort(table_keys.begin(), table_keys.end());
    table_keys.erase(std::unique(table_keys.begin(), table_keys.end()), table_keys.end());
    // In an order that memory does not know.
    for (size_t i = table_keys.size(); i > 1; --i) {
      std::swap(table_keys[i - 1], table_keys[random.Below(i)]);
    }
    batch->pull.push_back({table_keys, std::span(batch->counts).first(table_keys.size())});
    batch->push.rows.push_back(
        std::span<const float>(batch->gradients).first(table_keys.size() * gradient_dim));
  }
}

// Adds keys 0 … rows-1 to each table, as a restore does.
void FillTables(LocalParameters* parameters, int64_t rows) {
  constexpr int64_t kPiece = 4096;
  const std::vector<uint32_t> counts(kPiece, 1);
  const std::vector<int64_t> steps(kPiece, 0);
  std::vector<uint64_t> keys;
  for (size_t t = 0; t < parameters->tables().size(); ++t) {
    for (int64_t begin = 0; begin < rows; begin += kPiece) {
      keys.clear();
      for (int64_t key = begin; key < std::min(rows, begin + kPiece); ++key) {
        keys.push_back(MixBits(key));
      }
      const std::span<const uint32_t> some_counts = std::span(counts).first(keys.size());
      if (!parameters->table(static_cast<int>(t))
               .InsertBatch(keys, some_counts, std::span(steps).first(keys.size()), nullptr)
               .ok()) {
        std::abort();
      }
    }
  }
}

// Processor time in ns per row for reading and writing `row_bytes` at random places of as much
// memory.
double GatherLimit(int64_t total_bytes, int row_bytes, int threads) {
  const HugeBlock block = HugeBlock::Allocate(total_bytes).value();
  std::memset(block.data(), 1, total_bytes);
  const int64_t rows = total_bytes / row_bytes;
  constexpr int64_t kTouches = 4000000;
  const double start = CpuSeconds();
  const auto touch = [&](int thread) {
    RandomStream random(thread);
    constexpr int kAhead = 16;
    char* next[kAhead] = {};
    for (int64_t i = 0; i < kTouches; ++i) {
      char*& slot = next[i % kAhead];
      if (slot != nullptr) {
        float* const row = reinterpret_cast<float*>(slot);
        for (int k = 0; k < row_bytes / 4; ++k) row[k] += 1.0f;
      }
      slot = block.data() + random.Below(rows) * row_bytes;
      for (int at = 0; at < row_bytes; at += 64) __builtin_prefetch(slot + at, 1);
    }
  };
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(touch, i);
  touch(0);
  for (std::thread& thread : others) thread.join();
  return (CpuSeconds() - start) / kTouches / threads * 1e9;
}

void PullAndPush(int64_t rows, double seconds) {
  constexpr int kTables = 26;
  constexpr int kKeys = 2048;
  std::vector<TableSpec> specs;
  for (int t = 0; t < kTables; ++t) specs.push_back(Table("t" + std::to_string(t), true));
  std::vector<Batch> batches(24);
  for (size_t b = 0; b < batches.size(); ++b) FillBatch(b, kTables, kKeys, rows, 17, &batches[b]);
  std::vector<Batch> hot(1);
  FillBatch(1, kTables, kKeys / 4, rows, 17, &hot[0]);

  std::printf("(a) %d tables of %lld rows, %d keys each per step, dim 16 + wide, Adagrad\n",
              kTables, static_cast<long long>(rows), kKeys);
  for (const int workers : {1, 2}) {
    WorkerPool pool(workers);
    auto parameters = LocalParameters::Create(specs, {}, 1, &pool).value();
    const auto fill = Clock::now();
    FillTables(parameters.get(), rows);
    const double fill_ns = SecondsSince(fill) / static_cast<double>(rows * kTables) * 1e9;
    int64_t step = 0;
    const auto run = [&](std::vector<Batch>& from, const char* name) {
      PulledRows pulled;
      int64_t updated = 0;
      double pull_seconds = 0;
      const double cpu = CpuSeconds();
      const auto start = Clock::now();
      while (SecondsSince(start) < seconds) {
        Batch& batch = from[step % from.size()];
        ++step;
        const auto begin = Clock::now();
        if (!parameters->Pull(step, batch.pull, &pulled).ok()) std::abort();
        pull_seconds += SecondsSince(begin);
        if (!parameters->Push({.step = step}, batch.push).ok()) std::abort();
        for (const auto& keys : batch.keys) updated += static_cast<int64_t>(keys.size());
      }
      const double total = SecondsSince(start);
      std::printf(
          "  %d thread(s), %s: %.1f M rows/s, %.0f ns per row and thread (pull %.0f); "
          "%.0f ns of processor time per row\n",
          workers, name, updated / total / 1e6, total * workers / updated * 1e9,
          pull_seconds * workers / updated * 1e9, (CpuSeconds() - cpu) / updated * 1e9);
    };
    run(batches, "uniform");
    run(hot, "cached ");
    if (workers == 1) std::printf("  insert: %.0f ns per row\n", fill_ns);
    const int64_t bytes = parameters->memory_bytes();
    parameters.reset();
    std::printf(
        "  %d thread(s), plain random gather of 160 B of %.1f GB: %.0f ns of processor time per "
        "row\n",
        workers, bytes / 1e9, GatherLimit(bytes, 160, workers));
  }
}

void Growth(int64_t rows) {
  std::printf("(b) one table growing to %lld rows, dim 16, Adagrad, 2048 new keys per step\n",
              static_cast<long long>(rows));
  const int64_t before = ResidentBytes();
  WorkerPool pool(1);
  auto parameters = LocalParameters::Create({Table("big", false)}, {}, 1, &pool).value();
  std::vector<uint64_t> keys(2048);
  const std::vector<uint32_t> counts(keys.size(), 1);
  std::vector<double> pauses;
  PulledRows pulled;
  std::vector<char*> out(keys.size());
  uint64_t next = 0;
  double worst_ratio = 0, worst_cpu = 0;
  const auto start = Clock::now();
  for (int64_t step = 1; parameters->row_count() < rows; ++step) {
    for (uint64_t& key : keys) key = MixBits(next++);
    const double cpu = CpuSeconds();
    const auto begin = Clock::now();
    if (!parameters->table(0).FindOrInsert(keys, counts, step, out.data()).ok()) std::abort();
    pauses.push_back(SecondsSince(begin) * 1e3);
    worst_cpu = std::max(worst_cpu, (CpuSeconds() - cpu) * 1e3);
    if (step % 256 == 0 && step > 512) {
      worst_ratio = std::max(worst_ratio, static_cast<double>(parameters->memory_bytes()) /
                                              static_cast<double>(parameters->row_count()) / 136);
    }
  }
  const double seconds = SecondsSince(start);
  const double n = static_cast<double>(parameters->row_count());
  const double resident = static_cast<double>(ResidentBytes() - before);
  std::sort(pauses.begin(), pauses.end());
  std::printf(
      "  %.1f bytes per row resident, %.3f x (8 key + 64 weights + 64 slots); own count "
      "%.1f, worst on the way %.3f x\n",
      resident / n, resident / n / 136, parameters->memory_bytes() / n, worst_ratio);
  std::printf(
      "  %.0f ns per new row; a step of 2048 new rows: median %.2f ms, 99.9 %% %.2f ms, "
      "worst %.2f ms "
      "(%.2f ms of processor time)\n",
      seconds / n * 1e9, pauses[pauses.size() / 2], pauses[pauses.size() * 999 / 1000],
      pauses.back(), worst_cpu);
}

// Pull and Push without and with a snapshot that is written to memory as fast as can be.
void SnapshotCost(int64_t rows, double seconds) {
  constexpr int kTables = 8;
  std::printf("(c) %d tables of %lld rows, 1 thread, with and without a snapshot being read\n",
              kTables, static_cast<long long>(rows));
  std::vector<TableSpec> specs;
  for (int t = 0; t < kTables; ++t) specs.push_back(Table("t" + std::to_string(t), true));
  WorkerPool pool(1);
  auto parameters = LocalParameters::Create(specs, {}, 1, &pool).value();
  FillTables(parameters.get(), rows);
  std::vector<Batch> batches(64);
  for (size_t b = 0; b < batches.size(); ++b) FillBatch(b, kTables, 600, rows, 17, &batches[b]);
  int64_t step = 0;
  double usual = 0;
  for (const int64_t buffer_mb : {-1, 256, 4}) {
    std::unique_ptr<Snapshot> snapshot;
    const auto cut = Clock::now();
    if (buffer_mb >= 0) snapshot = parameters->Cut(buffer_mb << 20).value();
    const double cut_ms = SecondsSince(cut) * 1e3;
    std::atomic<bool> done{buffer_mb < 0};
    double read_seconds = 0;
    std::thread reader([&] {
      if (snapshot == nullptr) return;
      const auto begin = Clock::now();
      int64_t bytes = 0;
      for (int t = 0; t < kTables; ++t) {
        (void)snapshot->ReadRows(t, [&](std::span<const char* const> part) {
          bytes += static_cast<int64_t>(part.size()) * 160;
          return OkStatus();
        });
      }
      read_seconds = SecondsSince(begin);
      done.store(true);
    });
    PulledRows pulled;
    int64_t updated = 0;
    double worst = 0;
    const double cpu = ThreadCpuSeconds();
    const auto start = Clock::now();
    double total = 0;
    do {
      Batch& batch = batches[++step % batches.size()];
      const auto begin = Clock::now();
      if (!parameters->Pull(step, batch.pull, &pulled).ok()) std::abort();
      if (!parameters->Push({.step = step}, batch.push).ok()) std::abort();
      worst = std::max(worst, SecondsSince(begin));
      for (const auto& keys : batch.keys) updated += static_cast<int64_t>(keys.size());
      total = SecondsSince(start);
    } while (!done.load() || (buffer_mb < 0 && total < seconds));
    reader.join();
    const double ns = total / updated * 1e9;
    const double cpu_ns = (ThreadCpuSeconds() - cpu) / updated * 1e9;
    if (buffer_mb < 0) {
      usual = ns;
      std::printf("  without: %.0f ns per row, %.0f of processor time, worst step %.2f ms\n", ns,
                  cpu_ns, worst * 1e3);
    } else {
      std::printf(
          "  buffer %lld MB: %.0f ns per row, %.0f of processor time (+%.0f %% while it is read at "
          "%.1f GB/s), "
          "cut %.2f ms, worst step %.2f ms, stalls %lld, memory %.1f MB\n",
          static_cast<long long>(buffer_mb), ns, cpu_ns, (ns / usual - 1) * 100,
          kTables * rows * 160 / read_seconds / 1e9, cut_ms, worst * 1e3,
          static_cast<long long>(snapshot->stalls()), snapshot->peak_bytes() / 1e6);
    }
  }
}

int64_t NumberAfter(int argc, char** argv, const char* flag, int64_t otherwise) {
  for (int i = 1; i < argc; ++i) {
    const size_t length = std::strlen(flag);
    if (std::strncmp(argv[i], flag, length) == 0) return std::atoll(argv[i] + length);
  }
  return otherwise;
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  const bool smoke = argc > 1 && std::strcmp(argv[1], "--smoke") == 0;
  const int64_t rows = capstan::NumberAfter(argc, argv, "--rows=", smoke ? 20000 : 1000000);
  const int64_t big = capstan::NumberAfter(argc, argv, "--big_rows=", smoke ? 200000 : 20000000);
  const double seconds = smoke ? 0.1 : 4;
  capstan::Growth(big);
  capstan::PullAndPush(rows, seconds);
  capstan::SnapshotCost(rows, seconds);
  return 0;
}
