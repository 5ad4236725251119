// A training without a model, for tests: keys and gradients are pure functions of (step, slice,
// pulled rows). Done by one process as Trainer does it, and by workers through RemoteParameters.
#pragma once

#include <cstdint>
#include <vector>

#include "params/parameters.h"
#include "params/slice_tree.h"
#include "ps/remote_parameters.h"

namespace capstan {

class SyntheticTraining {
 public:
  static constexpr int kSlices = 8;

  SyntheticTraining();

  const std::vector<TableSpec>& tables() const { return tables_; }
  const std::vector<DenseSpec>& dense() const { return dense_; }
  static float RateFactor(int64_t step) { return 1.0f / (1.0f + 0.01f * static_cast<float>(step)); }

  // One step in one process, with the additions of Trainer.
  Status LocalStep(int64_t step, Parameters* parameters) const;
  // Some slices of a step by a worker. `next_slices`: those of the next step, whose pull is started
  // before this step's push; empty: none.
  Status SlicesOfStep(int64_t step, const std::vector<int>& slices,
                      const std::vector<int>& next_slices, RemoteParameters* parameters) const;

 private:
  // Distinct keys of a table, with how often each comes.
  struct Keys {
    std::vector<std::vector<uint64_t>> keys;
    std::vector<std::vector<uint32_t>> counts;
    std::vector<TableKeys> views() const;
  };
  Keys KeysOf(int64_t step, const std::vector<int>& slices) const;
  // The sums of one slice over all keys of `keys`; counts of the slice; its weight.
  struct Slice {
    std::vector<std::vector<float>> rows;
    std::vector<std::vector<uint32_t>> counts;
    std::vector<float> dense;
    double weight_sum = 0;
  };
  Slice Compute(int64_t step, int slice, const Keys& keys, const PulledRows& rows,
                const Parameters& parameters) const;
  struct DenseSum {
    SliceNode node;
    std::vector<float> sum;
  };
  static std::vector<DenseSum> AddDense(const std::vector<int>& slices,
                                        const std::vector<Slice>& computed);
  static bool IsEmpty(int64_t step, int slice) { return step % 4 == 0 && slice == 5; }

  std::vector<TableSpec> tables_;
  std::vector<DenseSpec> dense_;
};

}  // namespace capstan
