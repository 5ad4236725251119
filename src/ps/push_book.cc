#include "ps/push_book.h"

#include <algorithm>
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
  return step != steps_.end() && step->second.parts[identity.slice].has_value();
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

Status PushBook::CheckDense(const PushRequest& request) const {
  if (mode_ == TrainMode::kAsync) {
    const bool is_one = request.parts.size() == 1 && request.dense.size() == 1 &&
                        request.dense[0].node == SliceNode{0, 1};
    if (is_one || request.parts.empty()) return OkStatus();
    return Error("{} batches with {} dense sums, wanted one of each", request.parts.size(),
                 request.dense.size());
  }
  std::vector<bool> wanted(slices_);
  for (const PushPart& part : request.parts) {
    if (part.identity.step != request.parts[0].identity.step) {
      return Error("slices of steps {} and {}, wanted those of one", request.parts[0].identity.step,
                   part.identity.step);
    }
    wanted[part.identity.slice] = true;
  }
  int32_t end = 0;
  for (const PushDense& dense : request.dense) {
    const SliceNode& node = dense.node;
    if (!IsSliceNode(node, slices_)) {
      return Error("a dense sum of {} slices from {} on: no node of the tree of {}", node.count,
                   node.first, slices_);
    }
    if (node.first < end) {
      return Error("a dense sum of slices from {} on behind one up to {}", node.first, end - 1);
    }
    end = node.end();
    for (int32_t slice = node.first; slice < end; ++slice) {
      if (!wanted[slice]) return Error("a dense sum of slice {}, which is not here", slice);
      wanted[slice] = false;
    }
  }
  const auto without = std::ranges::find(wanted, true);
  if (without == wanted.end()) return OkStatus();
  return Error("no dense sum of slice {}", without - wanted.begin());
}

void PushBook::Store(StoredPart part) {
  Step& step = steps_[part.part.identity.step];
  step.parts.resize(slices_);
  std::optional<StoredPart>& place = step.parts[part.part.identity.slice];
  if (!place.has_value()) place = std::move(part);
}

void PushBook::StoreDense(int64_t step, StoredDense dense) {
  auto& kept = steps_[step].dense;
  const SliceNode node = dense.sum.node;
  // The last one that begins at or before it is the only one that may hold it.
  auto at = kept.upper_bound(node.first);
  if (at != kept.begin() && std::prev(at)->second.sum.node.Contains(node)) return;
  at = kept.lower_bound(node.first);
  while (at != kept.end() && node.Contains(at->second.sum.node)) at = kept.erase(at);
  kept.emplace(node.first, std::move(dense));
}

StatusOr<PushBook::ReadyStep> PushBook::Ready() const {
  ReadyStep ready;
  const auto step = steps_.find(applied_step_ + 1);
  if (step == steps_.end()) return ready;
  for (const std::optional<StoredPart>& part : step->second.parts) {
    if (!part.has_value()) return ReadyStep();
    ready.parts.push_back(&*part);
  }
  std::vector<SliceNode> nodes;
  for (const auto& [first, dense] : step->second.dense) {
    ready.dense.push_back(&dense);
    nodes.push_back(dense.sum.node);
  }
  if (CoverSliceTree({0, slices_}, nodes)) return ready;
  return MakeStatus(absl::StatusCode::kInternal,
                    fmt::format("step {}: {} dense sums do not make one of all {} slices",
                                applied_step_ + 1, nodes.size(), slices_));
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
