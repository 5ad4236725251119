#include "ps/push_book.h"

#include <utility>

namespace capstan {

void PushBook::Begin(int64_t applied_step, const std::vector<LeaseMark>& marks) {
  applied_step_ = applied_step;
  steps_.clear();
  marks_.clear();
  for (const LeaseMark& mark : marks) marks_[mark.lease] = mark.index;
}

StatusOr<bool> PushBook::IsOld(const PushIdentity& identity) const {
  return mode_ == TrainMode::kSync ? IsOldSlice(identity) : IsOldBatch(identity);
}

StatusOr<bool> PushBook::IsOldSlice(const PushIdentity& identity) const {
  if (identity.slice < 0 || identity.slice >= slices_) {
    return Error("slice {}, wanted one below {}", identity.slice, slices_);
  }
  if (identity.step <= applied_step_) return true;
  if (identity.step > applied_step_ + kStepsAhead) {
    return MakeStatus(
        absl::StatusCode::kFailedPrecondition,
        fmt::format("step {}, but only step {} is applied", identity.step, applied_step_));
  }
  const auto step = steps_.find(identity.step);
  return step != steps_.end() && step->second[identity.slice].has_value();
}

StatusOr<bool> PushBook::IsOldBatch(const PushIdentity& identity) const {
  if (identity.index < 0) {
    return Error("lease {:x}: batch {}, wanted one from 0", identity.lease, identity.index);
  }
  const auto mark = marks_.find(identity.lease);
  if (mark == marks_.end()) return false;
  if (identity.index - 1 > mark->second) {
    return MakeStatus(absl::StatusCode::kFailedPrecondition,
                      fmt::format("lease {:x}: batch {} came, but the last was {}", identity.lease,
                                  identity.index, mark->second));
  }
  return identity.index <= mark->second;
}

void PushBook::Store(StoredPart part) {
  auto& step = steps_[part.part.identity.step];
  step.resize(slices_);
  std::optional<StoredPart>& place = step[part.part.identity.slice];
  if (!place.has_value()) place = std::move(part);
}

std::vector<const StoredPart*> PushBook::ReadyStep() const {
  std::vector<const StoredPart*> parts;
  const auto step = steps_.find(applied_step_ + 1);
  if (step == steps_.end()) return parts;
  for (const std::optional<StoredPart>& part : step->second) {
    if (!part.has_value()) return {};
    parts.push_back(&*part);
  }
  return parts;
}

void PushBook::FinishStep() {
  ++applied_step_;
  steps_.erase(applied_step_);
}

std::vector<LeaseMark> PushBook::marks() const {
  std::vector<LeaseMark> marks;
  for (const auto& [lease, index] : marks_) marks.push_back({lease, index});
  return marks;
}

}  // namespace capstan
