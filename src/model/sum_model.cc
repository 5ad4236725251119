#include "model/sum_model.h"

#include <algorithm>
#include <cstring>

#include "model/graph_scopes.h"
#include "model/loss.h"
#include "model/row_reading.h"
#include "model/slice_memory.h"
#include "tensor/pairwise_dots.h"
#include "tensor/vector_ops.h"

namespace capstan {

SumModel::SumModel(const ModelSpec& spec)
    : spec_(spec), tables_(spec_), outputs_(OutputCount(spec)), floats_(DenseWidth(spec.input)) {
  DenseBuilder builder(spec_);
  if (HasWide(spec_.kind)) {
    wide_biases_ = builder.AddWideBiases(WideScope(spec_), outputs_);
    if (floats_ > 0) wide_weights_ = builder.AddWideWeights(WideScope(spec_), floats_, outputs_);
  }
  if (HasDeep(spec_.kind)) {
    int inputs = floats_ + tables_.embedding_width();
    if (spec_.pooled_first_layer) {
      inputs = tables_.embedding_width();
      pooled_biases_ = builder.AddBiases(PooledScope(spec_), inputs);
    }
    deep_.emplace(spec_.deep, inputs, DeepScopes(spec_), outputs_, OutputScope(spec_), 0, &builder);
  }
  if (HasFm() && floats_ > 0 && tables_.embedding_count() > 0) {
    factors_ = builder.AddEmbeddings("fm/factors", floats_,
                                     tables_.embedding_width() / tables_.embedding_count());
  }
  variables_ = builder.Take();
  dense_size_ = LayOutDense(&variables_);
}

struct SumModel::Memory : Workspace {
  Memory(const FeatureTables& tables, std::span<const PulledRowFormat> formats)
      : rows(tables, formats) {}

  int max_rows = 0;
  RowReading rows;
  AlignedVector<float> floats;      // [max_rows, floats]: the slice's dense floats
  AlignedVector<float> embeddings;  // [max_rows, embedding width], where the deep part has it not
  AlignedVector<float> logits, dlogits, part;  // [max_rows, outputs]

  std::unique_ptr<Gemm> wide, wide_gradient;  // of the dense floats

  // Deep: x = [lead zeros | floats | embeddings], embeddings begin at whole vectors.
  LayerInput x;
  int embeddings_at = 0;
  std::unique_ptr<MlpRun> deep;
  AlignedVector<float> pooled;  // [max_rows, embedding width], for slices that are not full
  AlignedVector<float> x0;      // pooled first layer: relu(pooled sum + biases) in fp32

  AlignedVector<float> vectors;   // fm: one example's vectors
  AlignedVector<float> sums;      // fm: [max_rows, dim]
  AlignedVector<float> dvectors;  // fm: one example's
};

StatusOr<std::unique_ptr<Workspace>> SumModel::NewWorkspace(
    std::span<const PulledRowFormat> row_formats, int max_slice) const {
  auto memory = std::make_unique<Memory>(tables_, row_formats);
  const size_t rows = max_slice;
  memory->max_rows = max_slice;
  memory->floats.resize(rows * floats_);
  for (auto* logits : {&memory->logits, &memory->dlogits, &memory->part}) {
    logits->resize(rows * outputs_);
  }
  if (wide_weights_ >= 0) {
    ASSIGN_OR_RETURN(memory->wide, Gemm::Make({.m = max_slice, .n = outputs_, .k = floats_}));
    ASSIGN_OR_RETURN(
        memory->wide_gradient,
        Gemm::Make({.m = floats_, .n = outputs_, .k = max_slice, .transpose_a = true}));
  }
  if (deep_) RETURN_IF_ERROR(MakeDeepMemory(max_slice, memory.get()));
  if (HasFm()) {
    const int dim = tables_.embedding_width() / tables_.embedding_count();
    memory->vectors.resize(tables_.embedding_width() + static_cast<size_t>(floats_) * dim);
    memory->dvectors.resize(memory->vectors.size());
    memory->sums.resize(rows * dim);
    memory->embeddings.resize(rows * tables_.embedding_width());
  }
  return std::unique_ptr<Workspace>(std::move(memory));
}

Status SumModel::MakeDeepMemory(int max_slice, Memory* memory) const {
  const bool half = spec_.precision == Precision::kBf16;
  const int embeddings = tables_.embedding_width();
  const int floats = spec_.pooled_first_layer ? 0 : floats_;
  memory->embeddings_at = PaddedWidth(floats);
  const MlpInput input{.lead = memory->embeddings_at - floats,
                       .stride = PaddedWidth(memory->embeddings_at + embeddings)};
  memory->x = LayerInput(max_slice, input.stride, half);
  memory->pooled.resize(static_cast<size_t>(max_slice) * embeddings);
  if (spec_.pooled_first_layer) memory->x0.resize(memory->pooled.size());
  ASSIGN_OR_RETURN(memory->deep, MlpRun::Make(*deep_, variables_, spec_.precision, max_slice, input,
                                              outputs_, floats, embeddings));
  return OkStatus();
}

void SumModel::ReadInput(const SliceInput& input, Memory* memory) const {
  const int rows = input.end - input.begin, width = tables_.embedding_width();
  if (floats_ > 0) {
    const float* dense = input.batch->dense.data() + static_cast<size_t>(input.begin) * floats_;
    std::copy(dense, dense + static_cast<size_t>(rows) * floats_, memory->floats.begin());
    std::fill(memory->floats.begin() + static_cast<size_t>(rows) * floats_, memory->floats.end(),
              0.0f);
  }
  if (HasFm()) memory->rows.ReadEmbeddings(input, memory->embeddings.data(), width);
  if (!deep_ || spec_.pooled_first_layer) return;
  LayerInput& x = memory->x;
  const int at = memory->embeddings_at;
  for (int i = 0; i < rows && floats_ > 0; ++i) {
    x.Put(i, at - floats_,
          {memory->floats.data() + static_cast<size_t>(i) * floats_, static_cast<size_t>(floats_)});
  }
  if (x.half()) {
    memory->rows.ReadEmbeddings(input, x.halves() + at, x.stride());
  } else {
    memory->rows.ReadEmbeddings(input, x.floats() + at, x.stride());
  }
  if (rows < memory->max_rows) x.ClearFrom(rows);
}

void SumModel::AddWide(const SliceInput& input, Memory* memory) const {
  const int rows = input.end - input.begin;
  float* logits = memory->logits.data();
  const float* biases = input.dense + variables_[wide_biases_].offset;
  if (wide_weights_ >= 0) {
    memory->wide->Run(memory->floats.data(), input.dense + variables_[wide_weights_].offset,
                      logits);
    AddBias(rows, outputs_, biases, logits, outputs_);
  } else {
    for (int i = 0; i < rows; ++i) std::copy(biases, biases + outputs_, logits + i * outputs_);
  }
  memory->rows.AddWide(input, outputs_, logits);
}

namespace {

MlpCall CallOf(const SliceInput& input, const ModelSpec& spec, bool training) {
  return {.rows = input.end - input.begin,
          .dense = input.dense,
          .dense_version = input.dense_version,
          .training = training,
          .seed = spec.seed,
          .step = input.step,
          .first_example = input.begin};
}

}  // namespace

void SumModel::AddDeep(const SliceInput& input, bool training, Memory* memory) const {
  const int rows = input.end - input.begin, width = tables_.embedding_width();
  if (spec_.pooled_first_layer) {
    float* x0 = memory->x0.data();
    memory->rows.ReadEmbeddings(input, x0, width);
    AddBias(rows, width, input.dense + variables_[pooled_biases_].offset, x0, width);
    Relu(rows, width, x0, width, x0, width);
    for (int i = 0; i < rows; ++i) {
      memory->x.Put(i, 0, {x0 + static_cast<size_t>(i) * width, static_cast<size_t>(width)});
    }
    if (rows < memory->max_rows) memory->x.ClearFrom(rows);
  }
  memory->deep->Forward(CallOf(input, spec_, training), memory->x.data(), memory->part.data());
  AddTo(memory->part.data(), static_cast<int64_t>(rows) * outputs_, memory->logits.data());
}

void SumModel::AddFm(const SliceInput& input, Memory* memory) const {
  const int width = tables_.embedding_width(), count = tables_.embedding_count();
  const int dim = width / count;
  for (int i = 0; i < input.end - input.begin; ++i) {
    float* vectors = memory->vectors.data();
    const float* embeddings = memory->embeddings.data() + static_cast<size_t>(i) * width;
    std::copy(embeddings, embeddings + width, vectors);
    const float* x = memory->floats.data() + static_cast<size_t>(i) * floats_;
    for (int f = 0; f < floats_; ++f) {
      const float* factors = input.dense + variables_[factors_].offset + f * dim;
      for (int k = 0; k < dim; ++k) vectors[width + f * dim + k] = x[f] * factors[k];
    }
    memory->logits[i] += SumOfPairwiseDots(vectors, count + floats_, dim,
                                           memory->sums.data() + static_cast<size_t>(i) * dim);
  }
}

void SumModel::Compute(const SliceInput& input, bool training, Memory* memory) const {
  ReadInput(input, memory);
  if (HasWide(spec_.kind)) {
    AddWide(input, memory);
  } else {
    std::fill(memory->logits.begin(), memory->logits.end(), 0.0f);
  }
  if (deep_) AddDeep(input, training, memory);
  if (HasFm()) AddFm(input, memory);
}

void SumModel::Forward(const SliceInput& input, Workspace* workspace, float* logits) const {
  Memory* memory = static_cast<Memory*>(workspace);
  Compute(input, false, memory);
  std::copy_n(memory->logits.begin(), static_cast<size_t>(input.end - input.begin) * outputs_,
              logits);
}

void SumModel::WideBackward(const SliceInput& input, Memory* memory, float* dense_gradient) const {
  const int rows = input.end - input.begin;
  ColumnSums(rows, outputs_, memory->dlogits.data(), outputs_,
             dense_gradient + variables_[wide_biases_].offset);
  if (wide_weights_ >= 0) {
    memory->wide_gradient->Run(memory->floats.data(), memory->dlogits.data(),
                               dense_gradient + variables_[wide_weights_].offset);
  }
}

void SumModel::DeepBackward(const SliceInput& input, float weight_sum, Memory* memory,
                            float* dense_gradient, float* pooled) const {
  const int rows = input.end - input.begin, width = tables_.embedding_width();
  const bool full = rows == memory->max_rows;
  float* dx = full ? pooled : memory->pooled.data();
  memory->deep->Backward(CallOf(input, spec_, true), memory->x.data(), memory->part.data(),
                         memory->dlogits.data(), weight_sum, dense_gradient, dx);
  if (spec_.pooled_first_layer) {
    ReluGradient(rows, width, dx, width, memory->x0.data(), width, 1.0f, dx, width,
                 dense_gradient + variables_[pooled_biases_].offset);
  }
  if (!full) std::copy(dx, dx + static_cast<size_t>(rows) * width, pooled);
}

void SumModel::FmBackward(const SliceInput& input, Memory* memory, float* dense_gradient,
                          float* pooled) const {
  const int rows = input.end - input.begin;
  const int width = tables_.embedding_width(), count = tables_.embedding_count();
  const int dim = width / count;
  if (!deep_) std::fill(pooled, pooled + static_cast<size_t>(rows) * width, 0.0f);
  float* dfactors = factors_ >= 0 ? dense_gradient + variables_[factors_].offset : nullptr;
  if (factors_ >= 0) std::fill(dfactors, dfactors + floats_ * dim, 0.0f);
  for (int i = 0; i < rows; ++i) {
    const float dlogit = memory->dlogits[i];
    const float* sum = memory->sums.data() + static_cast<size_t>(i) * dim;
    const size_t at = static_cast<size_t>(i) * width;
    AddPairwiseGradient(memory->embeddings.data() + at, sum, count, dim, dlogit, pooled + at);
    const float* x = memory->floats.data() + static_cast<size_t>(i) * floats_;
    for (int f = 0; f < floats_; ++f) {
      const float* factors = input.dense + variables_[factors_].offset + f * dim;
      const float scale = dlogit * x[f];
      for (int k = 0; k < dim; ++k) {
        dfactors[f * dim + k] += scale * (sum[k] - x[f] * factors[k]);
      }
    }
  }
}

SliceResult SumModel::Step(const SliceInput& input, Workspace* workspace, float* dense_gradient,
                           float* dlogits, float* pooled, float* logits) const {
  Memory* memory = static_cast<Memory*>(workspace);
  const size_t count = static_cast<size_t>(input.end - input.begin) * outputs_;
  Compute(input, true, memory);
  const SliceResult result = LossAndGradient(spec_, *input.batch, input.begin, input.end,
                                             memory->logits.data(), memory->dlogits.data());
  std::fill(memory->dlogits.begin() + count, memory->dlogits.end(), 0.0f);
  std::copy_n(memory->logits.begin(), count, logits);
  std::copy_n(memory->dlogits.begin(), count, dlogits);
  ClearGaps(variables_, dense_size_, dense_gradient);
  if (HasWide(spec_.kind)) WideBackward(input, memory, dense_gradient);
  if (deep_) {
    DeepBackward(input, static_cast<float>(result.weight_sum), memory, dense_gradient, pooled);
    // The deep part has destroyed them.
    std::copy_n(dlogits, count, memory->dlogits.begin());
  }
  if (HasFm()) FmBackward(input, memory, dense_gradient, pooled);
  return result;
}

}  // namespace capstan
