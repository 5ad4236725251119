#include "train/slice_trainer.h"

#include <algorithm>

namespace capstan {
namespace {
// Floats of a dense sum that one task adds up.
constexpr int64_t kDenseRange = 16384;
}  // namespace

StatusOr<std::unique_ptr<SliceTrainer>> SliceTrainer::Create(const Model* model,
                                                             Parameters* parameters,
                                                             WorkerPool* pool, int slices,
                                                             int max_batch) {
  if (slices < 1) return Error("slices {} < 1", slices);
  std::unique_ptr<SliceTrainer> trainer(new SliceTrainer(model, parameters, pool, slices));
  std::vector<PulledRowFormat> formats;
  for (size_t t = 0; t < parameters->tables().size(); ++t) {
    formats.push_back(parameters->row_format(static_cast<int>(t)));
  }
  const int max_slice = (max_batch + slices - 1) / slices;
  for (int worker = 0; worker < pool->workers(); ++worker) {
    ASSIGN_OR_RETURN(std::unique_ptr<Workspace> workspace, model->NewWorkspace(formats, max_slice));
    trainer->workspaces_.push_back(std::move(workspace));
  }
  return trainer;
}

SliceTrainer::SliceTrainer(const Model* model, Parameters* parameters, WorkerPool* pool, int slices)
    : model_(model),
      parameters_(parameters),
      pool_(pool),
      slices_(slices),
      outputs_(OutputCount(model->spec())),
      keys_(*model),
      scratch_(pool->workers()) {}

StatusOr<SliceTrainer::Result> SliceTrainer::Compute(int64_t step, const Batch& batch,
                                                     std::span<const int32_t> slices) {
  std::vector<UniqueKeys::Range> ranges;
  for (const int32_t slice : slices) {
    if (slice < 0 || slice >= slices_) {
      return Error("step {}: there is no slice {} of {}", step, slice, slices_);
    }
    ranges.push_back({static_cast<int>(int64_t{batch.size} * slice / slices_),
                      static_cast<int>(int64_t{batch.size} * (slice + 1) / slices_)});
  }
  keys_.Build(batch, ranges, pool_);
  RETURN_IF_ERROR(parameters_->Pull(step, keys_.tables(), &pulled_));
  rows_.rows.clear();
  for (const auto& rows : pulled_.rows) rows_.rows.push_back(rows.data());
  rows_.index = keys_.index();
  ++dense_version_;

  if (memory_.size() < slices.size()) memory_.resize(slices.size());
  for (size_t i = 0; i < slices.size(); ++i) memory_[i].range = ranges[i];
  pool_->ParallelFor(static_cast<int64_t>(slices.size()), [&](int64_t i, int worker) {
    ComputeSlice(step, batch, &memory_[i], worker);
  });

  Result result;
  result.slices.resize(slices.size());
  for (size_t i = 0; i < slices.size(); ++i) {
    const Memory& memory = memory_[i];
    Slice& slice = result.slices[i];
    slice.number = slices[i];
    slice.result = memory.result;
    slice.examples = memory.range.end - memory.range.begin;
    for (const auto& rows : memory.rows) slice.rows.emplace_back(rows);
    for (const auto& counts : memory.counts) slice.counts.emplace_back(counts);
    slice.logits = memory.logits;
  }
  result.dense = AddDense(slices);
  return result;
}

std::vector<SliceTrainer::Dense> SliceTrainer::AddDense(std::span<const int32_t> slices) {
  std::vector<bool> marked(slices_);
  std::vector<const Memory*> of_slice(slices_);
  for (size_t i = 0; i < slices.size(); ++i) {
    marked[slices[i]] = true;
    of_slice[slices[i]] = &memory_[i];
  }
  std::vector<Dense> dense;
  for (const SliceNode& node : LargestSliceNodes(marked)) dense.push_back({.node = node});
  if (sums_.size() < dense.size()) sums_.resize(dense.size());
  const int64_t size = model_->dense_size();
  const int64_t ranges = (size + kDenseRange - 1) / kDenseRange;
  for (size_t n = 0; n < dense.size(); ++n) {
    const SliceNode& node = dense[n].node;
    std::vector<SliceNode> leaves;
    std::vector<const float*> values;
    bool any = false;
    for (int32_t slice = node.first; slice < node.end(); ++slice) {
      leaves.push_back({slice, 1});
      values.push_back(of_slice[slice]->dense_gradient.data());
      any |= of_slice[slice]->range.begin < of_slice[slice]->range.end;
    }
    if (!any) continue;
    dense[n].sum = std::span<const float>(values[0], size);
    if (node.count == 1) continue;
    sums_[n].resize(size);
    dense[n].sum = sums_[n];
    pool_->ParallelFor(ranges, [&](int64_t range, int) {
      const int64_t begin = range * kDenseRange;
      std::vector<const float*> from;
      for (const float* value : values) from.push_back(value + begin);
      AddSliceTree(node, leaves, from, std::min(kDenseRange, size - begin),
                   sums_[n].data() + begin);
    });
  }
  return dense;
}

void SliceTrainer::ComputeSlice(int64_t step, const Batch& batch, Memory* memory, int worker) {
  const auto [begin, end] = memory->range;
  const size_t examples = end - begin;
  memory->dense_gradient.resize(model_->dense_size());
  memory->dlogits.resize(examples * outputs_);
  memory->pooled.resize(examples * model_->pooled_width());
  memory->logits.resize(examples * outputs_);
  memory->result = SliceResult();
  if (examples == 0) {
    std::fill(memory->dense_gradient.begin(), memory->dense_gradient.end(), 0.0f);
  } else {
    const SliceInput input{.batch = &batch,
                           .rows = &rows_,
                           .dense = parameters_->dense().data(),
                           .begin = begin,
                           .end = end,
                           .step = step,
                           .dense_version = dense_version_};
    memory->result =
        model_->Step(input, workspaces_[worker].get(), memory->dense_gradient.data(),
                     memory->dlogits.data(), memory->pooled.data(), memory->logits.data());
  }
  const SliceGradients gradients{.begin = begin,
                                 .end = end,
                                 .dlogits = memory->dlogits.data(),
                                 .pooled = memory->pooled.data()};
  const size_t tables = model_->tables().size();
  memory->rows.resize(tables);
  memory->counts.resize(tables);
  for (size_t t = 0; t < tables; ++t) {
    const int64_t distinct = static_cast<int64_t>(keys_.tables()[t].keys.size());
    int dim = 0;
    for (const RowPart& part : model_->tables()[t].parts) dim += part.dim;
    memory->rows[t].resize(distinct * dim);
    MergeRowGradients(*model_, static_cast<int>(t), batch, rows_, {&gradients, 1}, distinct,
                      &scratch_[worker], memory->rows[t]);
    memory->counts[t].assign(distinct, 0);
  }
  for (size_t column = 0; column < batch.columns.size(); ++column) {
    const int table = model_->table_of(static_cast<int>(column));
    if (table < 0) continue;
    const auto values = UniqueKeys::ValuesOf(batch.columns[column], memory->range);
    const uint32_t* index = rows_.index[column];
    for (int i = values.begin; i < values.end; ++i) ++memory->counts[table][index[i]];
  }
}

}  // namespace capstan
