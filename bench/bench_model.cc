// How fast models compute: forward and backward (Step) and the merge of row gradients, without
// input and parameters, beside the speed of plain matrix products on this machine.
//
//   bench_model [seconds per line, default 1] [model, default all]
#include <time.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/worker_pool.h"
#include "model/random_batch.h"
#include "tensor/gemm.h"

namespace capstan {
namespace {

constexpr int kBatch = 2048, kSlices = 8, kKeys = 600;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Like Criteo: 13 numbers, 26 categories with vectors of 16.
ModelSpec SpecOf(ModelKind kind, Precision precision) {
  ModelSpec spec;
  spec.kind = kind;
  spec.precision = precision;
  FeatureSpec numbers;
  numbers.name = numbers.column = "numbers";
  numbers.length = 13;
  spec.input.features.push_back(numbers);
  for (int i = 0; i < 26; ++i) {
    FeatureSpec category;
    category.name = category.column = category.table = "c" + std::to_string(i);
    category.type = FeatureType::kId;
    spec.input.features.push_back(category);
    spec.embeddings.push_back({.name = category.table, .dim = 16});
  }
  spec.deep.hidden = {256, 128, 64};
  if (kind == ModelKind::kDlrm) {
    spec.bottom.hidden = {512, 256, 64, 16};
    spec.deep.hidden = {512, 256};
  }
  return spec;
}

struct Slice {
  AlignedVector<float> dense_gradient, dlogits, pooled, logits;
};

// Of all threads.
double CpuSeconds() {
  timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// Examples per second of Step, and of the merge alone.
void Measure(ModelKind kind, Precision precision, int threads, double seconds) {
  const auto model = NewModel(SpecOf(kind, precision));
  if (!model.ok()) {
    std::printf("%s\n", Message(model.status()).c_str());
    return;
  }
  const RandomBatch data(**model, kBatch, kKeys, 1, 0.05);
  WorkerPool pool(threads);
  std::vector<std::unique_ptr<Workspace>> workspaces;
  for (int i = 0; i < threads; ++i) {
    auto workspace = (*model)->NewWorkspace(data.formats, kBatch / kSlices);
    if (!workspace.ok()) {
      std::printf("%s\n", Message(workspace.status()).c_str());
      return;
    }
    workspaces.push_back(std::move(*workspace));
  }
  std::vector<Slice> slices(kSlices);
  std::vector<SliceGradients> gradients(kSlices);
  const int examples = kBatch / kSlices;
  for (int s = 0; s < kSlices; ++s) {
    slices[s] = {AlignedVector<float>((*model)->dense_size()), AlignedVector<float>(examples),
                 AlignedVector<float>(static_cast<size_t>(examples) * (*model)->pooled_width()),
                 AlignedVector<float>(examples)};
    gradients[s] = {.begin = s * examples,
                    .end = (s + 1) * examples,
                    .dlogits = slices[s].dlogits.data(),
                    .pooled = slices[s].pooled.data()};
  }
  int64_t version = 0;
  const auto step = [&] {
    ++version;
    pool.ParallelFor(kSlices, [&](int64_t s, int worker) {
      SliceInput input = data.Input(gradients[s].begin, gradients[s].end);
      input.dense_version = version;
      Slice& slice = slices[s];
      (*model)->Step(input, workspaces[worker].get(), slice.dense_gradient.data(),
                     slice.dlogits.data(), slice.pooled.data(), slice.logits.data());
    });
  };
  std::vector<std::vector<float>> scratch(threads), rows((*model)->tables().size());
  for (size_t t = 0; t < rows.size(); ++t) {
    rows[t].resize(static_cast<size_t>(kKeys) *
                   RandomBatch::GradientDim(**model, static_cast<int>(t)));
  }
  const auto merge = [&] {
    pool.ParallelFor(static_cast<int64_t>(rows.size()), [&](int64_t t, int worker) {
      MergeRowGradients(**model, static_cast<int>(t), data.batch, data.rows, gradients, kKeys,
                        &scratch[worker], rows[t]);
    });
  };
  double cpu_seconds = 0;  // for an example
  const auto rate = [&](const auto& body) {
    body();
    const double cpu_start = CpuSeconds();
    int64_t batches = 0;
    const double start = Now();
    double end = start;
    for (; end - start < seconds; end = Now(), ++batches) body();
    cpu_seconds += (CpuSeconds() - cpu_start) / static_cast<double>(batches * kBatch);
    return static_cast<double>(batches * kBatch) / (end - start);
  };
  const double step_rate = rate(step), merge_rate = rate(merge);
  const double both = 1 / (1 / step_rate + 1 / merge_rate);
  std::printf(
      "%-14s %-5s %d thread%s  step %9.0f/s  merge %9.0f/s  both %9.0f/s, %.3f us of cpu each\n",
      std::string(NameOf(kind)).c_str(), precision == Precision::kBf16 ? "bf16" : "fp32", threads,
      threads == 1 ? " " : "s", step_rate, merge_rate, both, 1e6 * cpu_seconds);
}

void MeasureProduct(DType type, int threads, double seconds) {
  constexpr int kN = 512;
  std::vector<std::unique_ptr<Gemm>> products;
  for (int i = 0; i < threads; ++i) {
    auto gemm = Gemm::Make({.m = kN, .n = kN, .k = kN, .input = type});
    if (!gemm.ok()) return;
    products.push_back(std::move(*gemm));
  }
  std::vector<AlignedVector<float>> memory(threads, AlignedVector<float>(3 * kN * kN, 0.0f));
  WorkerPool pool(threads);
  int64_t runs = 0;
  const double start = Now();
  double end = start;
  for (; end - start < seconds; end = Now(), runs += threads) {
    pool.ParallelFor(threads, [&](int64_t i, int worker) {
      float* m = memory[i].data();
      products[worker]->Run(m, m + kN * kN, m + 2 * kN * kN);
    });
  }
  std::printf("product of [512,512] in %s, %d thread%s: %.0f GFLOP/s\n", NameOf(type).c_str(),
              threads, threads == 1 ? "" : "s",
              2.0 * kN * kN * kN * static_cast<double>(runs) / (end - start) * 1e-9);
}

}  // namespace
}  // namespace capstan

int main(int argc, char** argv) {
  using capstan::ModelKind;
  const double seconds = argc > 1 ? std::atof(argv[1]) : 1.0;
  const std::string only = argc > 2 ? argv[2] : "";
  for (const int threads : {1, 2}) {
    for (const auto type : {capstan::DType::kFloat, capstan::DType::kBfloat16}) {
      capstan::MeasureProduct(type, threads, seconds);
    }
  }
  for (const ModelKind kind :
       {ModelKind::kLr, ModelKind::kWideAndDeep, ModelKind::kDeepFm, ModelKind::kDlrm}) {
    if (!only.empty() && only != capstan::NameOf(kind)) continue;
    for (const auto precision : {capstan::Precision::kFp32, capstan::Precision::kBf16}) {
      for (const int threads : {1, 2}) capstan::Measure(kind, precision, threads, seconds);
    }
  }
}
