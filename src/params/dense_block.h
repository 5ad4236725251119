// The dense variables of a model: one flat array of weights, and of each slot one of the same
// layout. A row-wise slot uses the first floats of its variable's place, one per row.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/huge_pages.h"
#include "base/status.h"
#include "params/optimizer_kernels.h"
#include "params/table_spec.h"

namespace capstan {

// Floats of each slot of a variable: one per weight, or one per row (row-wise: the last dimension
// is a row).
int64_t DenseSlotSize(const DenseSpec& variable);

class DenseBlock {
 public:
  // All arrays, hence all variables, begin at cache lines.
  // Lays the variables out (LayOutDense) and sets weights and slots to their beginnings.
  static StatusOr<DenseBlock> Create(std::vector<DenseSpec> variables, uint64_t seed);

  const std::vector<DenseSpec>& variables() const { return variables_; }
  // Floats of the flat array, padding included.
  int64_t size() const { return size_; }
  std::span<float> weights() { return {Floats(0), static_cast<size_t>(size_)}; }
  std::span<const float> weights() const { return {Floats(0), static_cast<size_t>(size_)}; }
  // Slot `slot` of a variable, DenseSlotSize floats.
  std::span<float> slot(int variable, int slot);
  int slot_arrays() const { return static_cast<int>(arrays_.size()) - 1; }
  std::span<const float> slot_array(int slot) const {
    return {Floats(slot + 1), static_cast<size_t>(size_)};
  }

  // Weights [begin, end) of one variable, which may be updated apart from its others: row-wise
  // ranges are whole rows.
  struct Range {
    int variable = 0;
    int64_t begin = 0, end = 0;
  };
  // All trainable weights in ranges of about `floats`.
  std::vector<Range> Ranges(int64_t floats) const;
  // `gradients` is the whole flat array's. Different ranges may be updated at once.
  void Update(const Range& range, const UpdateConstants& constants,
              std::span<const float> gradients);

  int64_t memory_bytes() const;

 private:
  float* Floats(int array) const { return reinterpret_cast<float*>(arrays_[array].data()); }

  std::vector<DenseSpec> variables_;
  int64_t size_ = 0;
  std::vector<HugeBlock> arrays_;  // weights, slot 0, slot 1
};

}  // namespace capstan
