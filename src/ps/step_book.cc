#include "ps/step_book.h"

#include <algorithm>
#include <iterator>

namespace capstan {
namespace {

Status Refusal(const std::string& sentence) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, sentence);
}

std::string Text(const InputPosition& p) {
  return fmt::format("epoch {} block {} example {} (file {} record {})", p.epoch, p.block,
                     p.example, p.file, p.record);
}

}  // namespace

void StepBook::Begin(int64_t start_step, const InputPosition& start) {
  steps_.clear();
  steps_[start_step] = {.has_position = true, .position = start, .examples_upto = 0};
  start_step_ = finished_step_ = start_step;
  last_step_ = kept_step_ = -1;
}

Status StepBook::TakePosition(int worker, int64_t step, const InputPosition& position) {
  const bool is_of_use = step > std::max(start_step_, finished_step_ - kKeptSteps) &&
                         step <= finished_step_ + 1 + steps_ahead_;
  if (!is_of_use) return OkStatus();
  Step& known = steps_[step];
  if (known.has_position && known.position != position) {
    return Refusal(
        fmt::format("the data differ: behind step {} worker {} is at {}, worker {} at {}; do all "
                    "tasks see the same files?",
                    step, known.position_teller, Text(known.position), worker, Text(position)));
  }
  known.has_position = true;
  known.position = position;
  known.position_teller = worker;
  return OkStatus();
}

Status StepBook::TakeLastStep(int worker, int64_t last_step) {
  if (last_step_ >= 0 && last_step_ != last_step) {
    return Refusal(
        fmt::format("the data differ: worker {} finds {} steps in them, worker {} finds {}; do all "
                    "tasks see the same files?",
                    last_step_teller_, last_step_, worker, last_step));
  }
  if (last_step < finished_step_) {
    return Refusal(fmt::format(
        "the data differ: worker {} finds {} steps in them, but step {} is done already", worker,
        last_step, finished_step_));
  }
  if (last_step_ == last_step) return OkStatus();
  last_step_ = last_step;
  last_step_teller_ = worker;
  return OkStatus();
}

void StepBook::Finish(int64_t step) {
  for (int64_t next = finished_step_ + 1; next <= step; ++next) {
    steps_[next].examples_upto = steps_[next - 1].examples_upto + steps_[next].examples;
  }
  finished_step_ = step;
  const auto first_kept = steps_.lower_bound(step - kKeptSteps);
  for (auto it = steps_.begin(); it != first_kept;) {
    const bool is_kept = it->first == start_step_ || it->first == kept_step_;
    it = is_kept ? std::next(it) : steps_.erase(it);
  }
}

StatusOr<InputPosition> StepBook::PositionAfter(int64_t step) const {
  const auto found = steps_.find(step);
  if (found == steps_.end() || !found->second.has_position) {
    return NotFoundError("where the data go on behind step {} is not known; finished is {}", step,
                         finished_step_);
  }
  return found->second.position;
}

StatusOr<int64_t> StepBook::ExamplesAfter(int64_t step) const {
  const auto found = steps_.find(step);
  if (found == steps_.end() || found->second.examples_upto < 0) {
    return NotFoundError("how many examples step {} ended with is not known; finished is {}", step,
                         finished_step_);
  }
  return found->second.examples_upto;
}

}  // namespace capstan
