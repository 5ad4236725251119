// The steps of synchronous training as the chief hears of them: where the data go on behind each,
// how many examples it had, and where the data end.
#pragma once

#include <cstdint>
#include <map>

#include "base/status.h"
#include "data/input_position.h"

namespace capstan {

// One thread at a time (the coordinator locks).
class StepBook {
 public:
  // Finished steps that are remembered, beside the start and the one of Keep.
  static constexpr int64_t kKeptSteps = 16;

  // `steps_ahead`: workers may tell of so many steps behind the oldest unfinished one.
  explicit StepBook(int64_t steps_ahead) : steps_ahead_(steps_ahead) {}

  // Forgets all; the next step is start_step + 1.
  void Begin(int64_t start_step, const InputPosition& start);

  // What a worker says; kFailedPrecondition when another one has said something else: the two do
  // not read the same data.
  Status TakePosition(int worker, int64_t step, const InputPosition& position);
  Status TakeLastStep(int worker, int64_t last_step);
  // So many steps there are in the data; -1: nobody has said.
  int64_t last_step() const { return last_step_; }

  // Examples of an unfinished step.
  void Count(int64_t step, int64_t examples) { steps_[step].examples += examples; }
  // All steps up to this one are done.
  void Finish(int64_t step);
  // What is known of this step is kept however far training gets; of one step at a time.
  void Keep(int64_t step) { kept_step_ = step; }

  // kNotFound: it is not finished, or was forgotten.
  StatusOr<InputPosition> PositionAfter(int64_t step) const;
  // Counted from the start.
  StatusOr<int64_t> ExamplesAfter(int64_t step) const;

 private:
  struct Step {
    bool has_position = false;
    InputPosition position;  // behind it
    int position_teller = 0;
    int64_t examples = 0;        // counted in it
    int64_t examples_upto = -1;  // in all steps up to it, once it is finished
  };

  const int64_t steps_ahead_;
  std::map<int64_t, Step> steps_;  // the last ones, and those ahead
  int64_t start_step_ = 0, finished_step_ = 0, last_step_ = -1, kept_step_ = -1;
  int last_step_teller_ = 0;
};

}  // namespace capstan
