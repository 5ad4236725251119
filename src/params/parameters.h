// The parameters of a model as its trainer sees them: one trainer loop for one process
// (LocalParameters) and, over a wire, for a cluster.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "params/table_spec.h"

namespace capstan {

// The keys of one table in one batch.
struct TableKeys {
  std::span<const uint64_t> keys;    // distinct
  std::span<const uint32_t> counts;  // how often each stands in the batch
};

// Where the parts of a pulled row are, in floats from the row's pointer.
struct PulledRowFormat {
  std::vector<int> part_offset;  // by part of the TableSpec
};

// A batch's rows: rows[table][i] for keys[i]; null where the key has no row (not admitted yet; or,
// in a lookup, unknown), which stands for zeros. Valid until the next call of Pull, Lookup or Push.
struct PulledRows {
  std::vector<std::vector<const float*>> rows;
};

// A batch's gradients: unnormalised sums over its examples.
struct Gradients {
  // [table]: [keys, gradient_dim], the parts side by side
  std::vector<std::span<const float>> rows;
  std::span<const float> dense;  // [dense size]
  float scale = 1.0f;            // 1 / (examples, or sum of example weights)
};

// Learning rates of one step: schedules are the trainer's business.
struct StepRates {
  int64_t step = 0;          // of the update, from 1
  float wide_factor = 1.0f;  // the schedule's factor on the learning rate of parts named "wide" …
  float deep_factor = 1.0f;  // … and of all others
};

// Pull, compute, Push, in turn, from one thread.
class Parameters {
 public:
  virtual ~Parameters() = default;

  virtual const std::vector<TableSpec>& tables() const = 0;
  virtual const std::vector<DenseSpec>& dense_variables() const = 0;
  virtual const PulledRowFormat& row_format(int table) const = 0;

  // Training: rows of the keys, made where they are missing and admitted; counts and last step
  // updated.
  virtual Status Pull(int64_t step, std::span<const TableKeys> keys, PulledRows* rows) = 0;
  // A hint: the next Pull will be of this step and these keys, and may be begun already, beside the
  // computing and the Push of the batch that was pulled before, whose rows stay valid. Its rows may
  // then lack that Push.
  virtual Status StartPull(int64_t step, std::span<const TableKeys> keys) { return OkStatus(); }
  // Evaluation: nothing is made or counted.
  virtual Status Lookup(std::span<const TableKeys> keys, PulledRows* rows) = 0;
  // The dense weights as of the last Pull or Lookup: [dense size].
  virtual std::span<const float> dense() const = 0;

  // Applies the gradients of the keys of the last Pull.
  virtual Status Push(const StepRates& rates, const Gradients& gradients) = 0;
};

}  // namespace capstan
