#include "model/dlrm_model.h"

#include <algorithm>

#include "model/graph_scopes.h"
#include "model/loss.h"
#include "model/row_reading.h"
#include "model/slice_memory.h"
#include "tensor/pairwise_dots.h"
#include "tensor/vector_ops.h"

namespace capstan {

DlrmModel::DlrmModel(const ModelSpec& spec)
    : spec_(spec),
      tables_(spec_),
      outputs_(OutputCount(spec)),
      floats_(DenseWidth(spec.input)),
      vectors_(1 + tables_.embedding_count()),
      dim_(spec.bottom.hidden.back()) {
  DenseBuilder builder(spec_);
  bottom_.emplace(spec_.bottom, floats_, BottomScopes(spec_), 0, "", 1, &builder);
  top_.emplace(spec_.deep, dim_ + PairCount(vectors_), DeepScopes(spec_), outputs_,
               OutputScope(spec_), 0, &builder);
  variables_ = builder.Take();
  dense_size_ = LayOutDense(&variables_);
}

struct DlrmModel::Memory : Workspace {
  Memory(const FeatureTables& tables, std::span<const PulledRowFormat> formats, int vectors,
         int dim)
      : rows(tables, formats), pairs(vectors, dim) {}

  int max_rows = 0;
  RowReading rows;
  PairwiseDots pairs;
  LayerInput floats, top_input;
  AlignedVector<float> vectors, dvectors;  // [max_rows, vectors · dim]
  AlignedVector<float> interaction;        // one example's [bottom output | dots]
  AlignedVector<float> dinteraction;       // [max_rows, top_input.stride()]
  AlignedVector<float> logits, dlogits;    // [max_rows, outputs]
  std::unique_ptr<MlpRun> bottom, top;
};

StatusOr<std::unique_ptr<Workspace>> DlrmModel::NewWorkspace(
    std::span<const PulledRowFormat> row_formats, int max_slice) const {
  auto memory = std::make_unique<Memory>(tables_, row_formats, vectors_, dim_);
  const size_t rows = max_slice;
  const bool half = spec_.precision == Precision::kBf16;
  const int interactions = dim_ + PairCount(vectors_);
  memory->max_rows = max_slice;
  memory->floats = LayerInput(max_slice, PaddedWidth(floats_), half);
  memory->top_input = LayerInput(max_slice, PaddedWidth(interactions), half);
  memory->vectors.resize(rows * vectors_ * dim_);
  memory->dvectors.resize(memory->vectors.size());
  memory->interaction.resize(interactions);
  memory->dinteraction.resize(rows * memory->top_input.stride());
  memory->logits.resize(rows * outputs_);
  memory->dlogits.resize(rows * outputs_);
  const MlpInput floats{.stride = memory->floats.stride()};
  ASSIGN_OR_RETURN(memory->bottom, MlpRun::Make(*bottom_, variables_, spec_.precision, max_slice,
                                                floats, vectors_ * dim_, floats_, 0));
  const MlpInput top{.stride = memory->top_input.stride()};
  ASSIGN_OR_RETURN(memory->top, MlpRun::Make(*top_, variables_, spec_.precision, max_slice, top,
                                             outputs_, 0, memory->top_input.stride()));
  return std::unique_ptr<Workspace>(std::move(memory));
}

MlpCall DlrmModel::CallOf(const SliceInput& input, bool training) const {
  return {.rows = input.end - input.begin,
          .dense = input.dense,
          .dense_version = input.dense_version,
          .training = training,
          .seed = spec_.seed,
          .step = input.step,
          .first_example = input.begin};
}

void DlrmModel::Compute(const SliceInput& input, bool training, Memory* memory) const {
  const int rows = input.end - input.begin;
  const MlpCall call = CallOf(input, training);
  const float* dense = input.batch->dense.data() + static_cast<size_t>(input.begin) * floats_;
  for (int i = 0; i < rows; ++i, dense += floats_) {
    memory->floats.Put(i, 0, {dense, static_cast<size_t>(floats_)});
  }
  if (rows < memory->max_rows) memory->floats.ClearFrom(rows);
  memory->bottom->Forward(call, memory->floats.data(), memory->vectors.data());
  memory->rows.ReadEmbeddings(input, memory->vectors.data() + dim_, vectors_ * dim_);
  for (int i = 0; i < rows; ++i) {
    const float* vectors = memory->vectors.data() + static_cast<size_t>(i) * vectors_ * dim_;
    std::copy(vectors, vectors + dim_, memory->interaction.begin());
    memory->pairs.Forward(vectors, memory->interaction.data() + dim_);
    memory->top_input.Put(i, 0, memory->interaction);
  }
  if (rows < memory->max_rows) memory->top_input.ClearFrom(rows);
  memory->top->Forward(call, memory->top_input.data(), memory->logits.data());
}

void DlrmModel::Forward(const SliceInput& input, Workspace* workspace, float* logits) const {
  Memory* memory = static_cast<Memory*>(workspace);
  Compute(input, false, memory);
  std::copy_n(memory->logits.begin(), static_cast<size_t>(input.end - input.begin) * outputs_,
              logits);
}

void DlrmModel::InteractionBackward(int rows, Memory* memory, float* pooled) const {
  const int width = vectors_ * dim_;
  for (int i = 0; i < rows; ++i) {
    const float* vectors = memory->vectors.data() + static_cast<size_t>(i) * width;
    const float* dtop =
        memory->dinteraction.data() + static_cast<size_t>(i) * memory->top_input.stride();
    float* dvectors = memory->dvectors.data() + static_cast<size_t>(i) * width;
    memory->pairs.Backward(vectors, dtop + dim_, dvectors);
    AddTo(dtop, dim_, dvectors);
    std::copy(dvectors + dim_, dvectors + width, pooled + static_cast<size_t>(i) * (width - dim_));
  }
}

SliceResult DlrmModel::Step(const SliceInput& input, Workspace* workspace, float* dense_gradient,
                            float* dlogits, float* pooled, float* logits) const {
  Memory* memory = static_cast<Memory*>(workspace);
  const int rows = input.end - input.begin;
  const size_t count = static_cast<size_t>(rows) * outputs_;
  Compute(input, true, memory);
  const SliceResult result = LossAndGradient(spec_, *input.batch, input.begin, input.end,
                                             memory->logits.data(), memory->dlogits.data());
  std::fill(memory->dlogits.begin() + count, memory->dlogits.end(), 0.0f);
  std::copy_n(memory->logits.begin(), count, logits);
  std::copy_n(memory->dlogits.begin(), count, dlogits);
  ClearGaps(variables_, dense_size_, dense_gradient);
  const MlpCall call = CallOf(input, true);
  const float weight_sum = static_cast<float>(result.weight_sum);
  memory->top->Backward(call, memory->top_input.data(), memory->logits.data(),
                        memory->dlogits.data(), weight_sum, dense_gradient,
                        memory->dinteraction.data());
  InteractionBackward(rows, memory, pooled);
  memory->bottom->Backward(call, memory->floats.data(), memory->vectors.data(),
                           memory->dvectors.data(), weight_sum, dense_gradient, nullptr);
  return result;
}

}  // namespace capstan
