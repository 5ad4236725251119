#include "params/dense_block.h"

#include <algorithm>

#include "params/initial_values.h"

namespace capstan {
namespace {
int64_t RowSize(const DenseSpec& variable) {
  return variable.shape.empty() ? 1 : std::max<int64_t>(1, variable.shape.back());
}
}  // namespace

int64_t DenseSlotSize(const DenseSpec& variable) {
  const int64_t count = ElementCount(variable.shape);
  return IsRowWise(variable.optimizer.kind) ? count / RowSize(variable) : count;
}

StatusOr<DenseBlock> DenseBlock::Create(std::vector<DenseSpec> variables, uint64_t seed) {
  DenseBlock block;
  block.variables_ = std::move(variables);
  int slots = 0;
  for (const DenseSpec& variable : block.variables_) {
    if (ElementCount(variable.shape) < 0) {
      return Error("make variable {}: shape {}", variable.variable, ToString(variable.shape));
    }
    if (variable.trainable) slots = std::max(slots, SlotCount(variable.optimizer.kind));
  }
  block.size_ = LayOutDense(&block.variables_);
  for (int array = 0; array <= slots; ++array) {
    auto memory = HugeBlock::Allocate(block.size_ * sizeof(float));
    if (!memory.ok()) return Annotate(memory.status(), "make the dense weights");
    block.arrays_.push_back(std::move(memory).value());
  }
  for (int v = 0; v < static_cast<int>(block.variables_.size()); ++v) {
    const DenseSpec& variable = block.variables_[v];
    const size_t count = static_cast<size_t>(ElementCount(variable.shape));
    FillInitialValues(variable.initializer, ValueStream(seed, variable.variable),
                      variable.first_element, block.weights().subspan(variable.offset, count));
    if (!variable.trainable) continue;
    for (int slot = 0; slot < SlotCount(variable.optimizer.kind); ++slot) {
      const std::span<float> values = block.slot(v, slot);
      std::fill(values.begin(), values.end(), InitialSlotValue(variable.optimizer, slot));
    }
  }
  return block;
}

std::span<float> DenseBlock::slot(int variable, int slot) {
  return {Floats(slot + 1) + variables_[variable].offset,
          static_cast<size_t>(DenseSlotSize(variables_[variable]))};
}

std::vector<DenseBlock::Range> DenseBlock::Ranges(int64_t floats) const {
  std::vector<Range> ranges;
  for (int v = 0; v < static_cast<int>(variables_.size()); ++v) {
    const DenseSpec& variable = variables_[v];
    if (!variable.trainable) continue;
    int64_t length = floats;
    if (IsRowWise(variable.optimizer.kind)) {
      length = std::max<int64_t>(1, floats / RowSize(variable)) * RowSize(variable);
    }
    const int64_t count = ElementCount(variable.shape);
    for (int64_t begin = 0; begin < count; begin += length) {
      ranges.push_back({v, begin, std::min(count, begin + length)});
    }
  }
  return ranges;
}

void DenseBlock::Update(const Range& range, const UpdateConstants& constants,
                        std::span<const float> gradients) {
  const DenseSpec& variable = variables_[range.variable];
  const bool row_wise = IsRowWise(variable.optimizer.kind);
  const int64_t step = row_wise ? RowSize(variable) : range.end - range.begin;
  const int slots = SlotCount(variable.optimizer.kind);
  for (int64_t begin = range.begin; begin < range.end; begin += step) {
    const int64_t at = variable.offset + begin;
    const int64_t slot_at = row_wise ? variable.offset + begin / step : at;
    UpdateSpan(constants, step, Floats(0) + at, slots > 0 ? Floats(1) + slot_at : nullptr,
               slots > 1 ? Floats(2) + slot_at : nullptr, gradients.data() + at);
  }
}

int64_t DenseBlock::memory_bytes() const {
  return static_cast<int64_t>(arrays_.size()) * size_ * static_cast<int64_t>(sizeof(float));
}

}  // namespace capstan
