#include "ps/synthetic_training.h"

#include <algorithm>
#include <map>

#include "base/random.h"

namespace capstan {
namespace {

constexpr Initializer kUniform{.kind = Initializer::Kind::kUniform, .scale = 0.1f};
constexpr int kKeysPerSlice = 25;

RowPart Part(const char* name, int dim, OptimizerKind kind) {
  return {.name = name, .dim = dim, .optimizer = {.kind = kind}, .initializer = kUniform};
}

DenseSpec Variable(const char* name, Shape shape, OptimizerKind kind) {
  return {.variable = name, .shape = shape, .optimizer = {.kind = kind}, .initializer = kUniform};
}

float Noise(uint64_t a, uint64_t b, uint64_t c) {
  return UniformFloat(MixBits(a, b, c)) * 2.0f - 1.0f;
}

}  // namespace

SyntheticTraining::SyntheticTraining() {
  tables_ = {{.name = "user", .variable = "user"},
             {.name = "item", .variable = "item", .admission_count = 3, .expiry_steps = 4},
             {.name = "day", .variable = "day", .dense_size = 40},
             {.name = "query", .variable = "query", .expiry_steps = 2}};
  tables_[0].parts = {Part("wide", 1, OptimizerKind::kFtrl),
                      Part("embedding", 16, OptimizerKind::kAdagrad)};
  tables_[1].parts = {Part("embedding", 5, OptimizerKind::kAdam)};
  tables_[2].parts = {Part("embedding", 7, OptimizerKind::kRowWiseAdagrad)};
  tables_[3].parts = {Part("wide", 1, OptimizerKind::kMomentum),
                      Part("embedding", 4, OptimizerKind::kRmsProp)};
  dense_ = {Variable("mean", {6}, OptimizerKind::kSgd),
            Variable("layer_0/kernel", {23, 16}, OptimizerKind::kAdam),
            Variable("layer_0/bias", {16}, OptimizerKind::kAdagrad),
            Variable("layer_1/kernel", {16, 9}, OptimizerKind::kRowWiseAdagrad),
            Variable("layer_1/bias", {9}, OptimizerKind::kRowWiseAdagrad),
            Variable("wide/bias", {}, OptimizerKind::kFtrl),
            Variable("norm/mean", {11}, OptimizerKind::kMovingAverage),
            Variable("layer_2/kernel", {9, 3}, OptimizerKind::kAdadelta)};
  dense_[0].trainable = false;
  LayOutDense(&dense_);
}

std::vector<TableKeys> SyntheticTraining::Keys::views() const {
  std::vector<TableKeys> views;
  for (size_t t = 0; t < keys.size(); ++t) views.push_back({keys[t], counts[t]});
  return views;
}

SyntheticTraining::Keys SyntheticTraining::KeysOf(int64_t step,
                                                  const std::vector<int>& slices) const {
  Keys all;
  all.keys.resize(tables_.size());
  all.counts.resize(tables_.size());
  for (size_t t = 0; t < tables_.size(); ++t) {
    std::map<uint64_t, size_t> places;
    for (const int slice : slices) {
      if (IsEmpty(step, slice)) continue;
      RandomStream random(MixBits(step, slice, t));
      for (int i = 0; i < kKeysPerSlice; ++i) {
        const uint64_t bound = tables_[t].dense_size > 0 ? 40 : 600;
        uint64_t key = std::min(random.Below(bound), random.Below(bound));
        if (t % 2 == 0 && tables_[t].dense_size == 0) key = MixBits(key);
        // In the order of their first appearance.
        const auto [place, is_new] = places.emplace(key, all.keys[t].size());
        if (is_new) {
          all.keys[t].push_back(key);
          all.counts[t].push_back(0);
        }
        ++all.counts[t][place->second];
      }
    }
  }
  return all;
}

SyntheticTraining::Slice SyntheticTraining::Compute(int64_t step, int slice, const Keys& keys,
                                                    const PulledRows& rows,
                                                    const Parameters& parameters) const {
  Slice out;
  out.rows.resize(tables_.size());
  out.counts.resize(tables_.size());
  const Keys own = KeysOf(step, {slice});
  for (size_t t = 0; t < tables_.size(); ++t) {
    int dim = 0;
    for (const RowPart& part : tables_[t].parts) dim += part.dim;
    out.rows[t].assign(keys.keys[t].size() * dim, 0.0f);
    out.counts[t].assign(keys.keys[t].size(), 0);
    const PulledRowFormat& format = parameters.row_format(static_cast<int>(t));
    for (size_t i = 0; i < own.keys[t].size(); ++i) {
      const auto at = std::find(keys.keys[t].begin(), keys.keys[t].end(), own.keys[t][i]);
      const size_t place = static_cast<size_t>(at - keys.keys[t].begin());
      out.counts[t][place] = own.counts[t][i];
      const float* const row = rows.rows[t][place];
      float* gradient = out.rows[t].data() + place * dim;
      for (size_t p = 0; p < tables_[t].parts.size(); ++p) {
        for (int k = 0; k < tables_[t].parts[p].dim; ++k, ++gradient) {
          const float weight = row == nullptr ? 0.0f : row[format.part_offset[p] + k];
          *gradient = Noise(step * 8 + slice, own.keys[t][i], k) + 3.0f * weight;
        }
      }
    }
  }
  const std::span<const float> dense = parameters.dense();
  out.dense.assign(dense.size(), 0.0f);
  if (IsEmpty(step, slice)) return out;
  out.weight_sum = 3.25 + 0.3 * slice;
  for (size_t i = 0; i < dense.size(); ++i) {
    out.dense[i] = Noise(step, slice, i) + 2.0f * dense[i];
  }
  return out;
}

Status SyntheticTraining::LocalStep(int64_t step, Parameters* parameters) const {
  std::vector<int> slices;
  for (int s = 0; s < kSlices; ++s) slices.push_back(s);
  const Keys keys = KeysOf(step, slices);
  PulledRows rows;
  RETURN_IF_ERROR(parameters->Pull(step, keys.views(), &rows));
  std::vector<std::vector<float>> sums(tables_.size());
  std::vector<Slice> computed;
  double weight_sum = 0;
  for (const int s : slices) {
    const Slice& slice = computed.emplace_back(Compute(step, s, keys, rows, *parameters));
    weight_sum += slice.weight_sum;
    for (size_t t = 0; t < tables_.size(); ++t) {
      sums[t].resize(slice.rows[t].size(), 0.0f);
      if (slice.counts[t].empty()) continue;
      const size_t dim = slice.rows[t].size() / slice.counts[t].size();
      for (size_t i = 0; i < sums[t].size(); ++i) {
        if (slice.counts[t][i / dim] > 0) sums[t][i] += slice.rows[t][i];
      }
    }
  }
  const std::vector<DenseSum> dense = AddDense(slices, computed);
  Gradients gradients;
  for (const auto& sum : sums) gradients.rows.push_back(sum);
  gradients.dense = dense[0].sum;
  gradients.scale = weight_sum > 0 ? static_cast<float>(1.0 / weight_sum) : 0.0f;
  const float factor = RateFactor(step);
  return parameters->Push({.step = step, .wide_factor = factor, .deep_factor = factor}, gradients);
}

Status SyntheticTraining::SlicesOfStep(int64_t step, const std::vector<int>& slices,
                                       const std::vector<int>& next_slices,
                                       RemoteParameters* parameters) const {
  const Keys keys = KeysOf(step, slices);
  PulledRows rows;
  RETURN_IF_ERROR(parameters->Pull(step, keys.views(), &rows));
  std::vector<Slice> computed;
  for (const int s : slices) computed.push_back(Compute(step, s, keys, rows, *parameters));
  if (!next_slices.empty()) {
    RETURN_IF_ERROR(parameters->StartPull(step + 1, KeysOf(step + 1, next_slices).views()));
  }
  std::vector<RemoteParameters::SlicePush> pushes(slices.size());
  for (size_t i = 0; i < slices.size(); ++i) {
    pushes[i].identity = {.step = step, .slice = slices[i]};
    pushes[i].weight_sum = computed[i].weight_sum;
    for (const auto& sum : computed[i].rows) pushes[i].rows.push_back(sum);
    for (const auto& counts : computed[i].counts) pushes[i].counts.push_back(counts);
  }
  const std::vector<DenseSum> sums = AddDense(slices, computed);
  std::vector<RemoteParameters::DensePush> dense;
  for (const DenseSum& sum : sums) {
    const bool is_empty = sum.node.count == 1 && IsEmpty(step, sum.node.first);
    dense.push_back({sum.node, is_empty ? std::span<const float>() : sum.sum});
  }
  return parameters->PushSlices(pushes, dense);
}

// `slices` ascending, `computed` in the same order.
std::vector<SyntheticTraining::DenseSum> SyntheticTraining::AddDense(
    const std::vector<int>& slices, const std::vector<Slice>& computed) {
  std::vector<bool> marked(kSlices);
  for (const int slice : slices) marked[slice] = true;
  std::vector<DenseSum> sums;
  auto next = computed.begin();
  for (const SliceNode& node : LargestSliceNodes(marked)) {
    std::vector<SliceNode> leaves;
    std::vector<const float*> values;
    for (int32_t slice = node.first; slice < node.end(); ++slice, ++next) {
      leaves.push_back({slice, 1});
      values.push_back(next->dense.data());
    }
    DenseSum& sum = sums.emplace_back();
    sum.node = node;
    sum.sum.resize(computed[0].dense.size());
    AddSliceTree(node, leaves, values, static_cast<int64_t>(sum.sum.size()), sum.sum.data());
  }
  return sums;
}

}  // namespace capstan
