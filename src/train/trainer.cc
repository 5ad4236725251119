#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace capstan {
namespace {
// Floats of the dense gradient that one task adds up: small enough to share out, large enough to
// stream.
constexpr int64_t kDenseRange = 16384;
}  // namespace

StatusOr<std::unique_ptr<Trainer>> Trainer::Create(const Model* model, Parameters* parameters,
                                                   WorkerPool* pool, int slices, int max_batch) {
  if (slices < 1) return Error("slices {} < 1", slices);
  std::unique_ptr<Trainer> trainer(new Trainer(model, parameters, pool, slices));
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

Trainer::Trainer(const Model* model, Parameters* parameters, WorkerPool* pool, int slices)
    : model_(model),
      parameters_(parameters),
      pool_(pool),
      outputs_(OutputCount(model->spec())),
      keys_(*model),
      next_keys_(*model),
      scratch_(pool->workers()),
      slices_(slices),
      slice_gradients_(slices),
      by_size_(model->tables().size()),
      row_gradients_(model->tables().size()),
      dense_gradient_(model->dense_size()) {
  for (Slice& slice : slices_) slice.dense_gradient.resize(model->dense_size());
  for (int s = 0; s < slices; ++s) leaves_.push_back({s, 1});
}

void Trainer::BuildKeys(const Batch& batch) {
  if (std::exchange(has_next_, false) && next_position_ == batch.position) {
    std::swap(keys_, next_keys_);
  } else {
    keys_.Build(batch, pool_);
  }
}

Status Trainer::StartNext(int64_t step, const Batch& next) {
  next_keys_.Build(next, pool_);
  RETURN_IF_ERROR(parameters_->StartPull(step, next_keys_.tables()));
  has_next_ = true;
  next_position_ = next.position;
  return OkStatus();
}

StatusOr<StepResult> Trainer::Step(int64_t step, const Batch& batch, const Batch* next) {
  BuildKeys(batch);
  RETURN_IF_ERROR(parameters_->Pull(step, keys_.tables(), &pulled_));
  rows_.rows.clear();
  for (const auto& rows : pulled_.rows) rows_.rows.push_back(rows.data());
  rows_.index = keys_.index();
  if (next != nullptr) RETURN_IF_ERROR(StartNext(step + 1, *next));

  ComputeSlices(step, batch);
  SliceResult total;
  for (const Slice& slice : slices_) {
    total.loss_sum += slice.result.loss_sum;
    total.weight_sum += slice.result.weight_sum;
  }
  if (!std::isfinite(total.loss_sum)) {
    return Error(
        "train step {} (epoch {}, batch {}): the loss is {}; a smaller learning_rate, standardised "
        "features or a look at the data may help",
        step, batch.position.epoch, batch.position.batch, total.loss_sum);
  }
  MergeGradients(batch);
  Gradients gradients;
  for (const auto& rows : row_gradients_) gradients.rows.emplace_back(rows);
  gradients.dense = dense_gradient_;
  gradients.scale = total.weight_sum > 0 ? static_cast<float>(1.0 / total.weight_sum) : 0.0f;
  const float factor = FactorAt(model_->spec().schedule, step - 1);
  RETURN_IF_ERROR(
      parameters_->Push({.step = step, .wide_factor = factor, .deep_factor = factor}, gradients));
  return StepResult{
      .loss = total.weight_sum > 0 ? total.loss_sum / total.weight_sum : 0.0,
      .logits = std::span<const float>(logits_).first(static_cast<size_t>(batch.size) * outputs_)};
}

void Trainer::ComputeSlices(int64_t step, const Batch& batch) {
  const int64_t count = static_cast<int64_t>(slices_.size());
  logits_.resize(static_cast<size_t>(batch.size) * outputs_);
  for (int64_t s = 0; s < count; ++s) {
    Slice& slice = slices_[s];
    slice.begin = static_cast<int>(batch.size * s / count);
    slice.end = static_cast<int>(batch.size * (s + 1) / count);
    const size_t examples = slice.end - slice.begin;
    slice.dlogits.resize(examples * outputs_);
    slice.pooled.resize(examples * model_->pooled_width());
    slice.result = SliceResult();
  }
  const float* dense = parameters_->dense().data();
  ++dense_version_;
  pool_->ParallelFor(count, [&](int64_t s, int worker) {
    Slice& slice = slices_[s];
    const SliceInput input{.batch = &batch,
                           .rows = &rows_,
                           .dense = dense,
                           .begin = slice.begin,
                           .end = slice.end,
                           .step = step,
                           .dense_version = dense_version_};
    if (slice.begin == slice.end) {
      std::fill(slice.dense_gradient.begin(), slice.dense_gradient.end(), 0.0f);
      return;
    }
    slice.result = model_->Step(input, workspaces_[worker].get(), slice.dense_gradient.data(),
                                slice.dlogits.data(), slice.pooled.data(),
                                logits_.data() + static_cast<size_t>(slice.begin) * outputs_);
  });
}

void Trainer::MergeGradients(const Batch& batch) {
  for (size_t s = 0; s < slices_.size(); ++s) {
    slice_gradients_[s] = {.begin = slices_[s].begin,
                           .end = slices_[s].end,
                           .dlogits = slices_[s].dlogits.data(),
                           .pooled = slices_[s].pooled.data()};
  }
  const std::span<const TableKeys> keys = keys_.tables();
  std::iota(by_size_.begin(), by_size_.end(), 0);
  std::sort(by_size_.begin(), by_size_.end(), [&](int64_t a, int64_t b) {
    return keys[a].keys.size() != keys[b].keys.size() ? keys[a].keys.size() > keys[b].keys.size()
                                                      : a < b;
  });
  const int64_t tables = static_cast<int64_t>(row_gradients_.size());
  const int64_t dense_size = static_cast<int64_t>(dense_gradient_.size());
  const int64_t ranges = (dense_size + kDenseRange - 1) / kDenseRange;
  pool_->ParallelFor(tables + ranges, [&](int64_t task, int worker) {
    if (task < tables) {
      const int table = static_cast<int>(by_size_[task]);
      const int64_t distinct = static_cast<int64_t>(keys[table].keys.size());
      int dim = 0;
      for (const RowPart& part : model_->tables()[table].parts) dim += part.dim;
      row_gradients_[table].resize(distinct * dim);
      MergeRowGradients(*model_, table, batch, rows_, slice_gradients_, distinct, &scratch_[worker],
                        row_gradients_[table]);
      return;
    }
    const int64_t begin = (task - tables) * kDenseRange;
    AddDense(begin, std::min(begin + kDenseRange, dense_size));
  });
}

void Trainer::AddDense(int64_t begin, int64_t end) {
  std::vector<const float*> values;
  for (const Slice& slice : slices_) values.push_back(slice.dense_gradient.data() + begin);
  AddSliceTree({0, static_cast<int32_t>(slices_.size())}, leaves_, values, end - begin,
               dense_gradient_.data() + begin);
}

}  // namespace capstan
