// Which pushes have been applied, and which wait for the rest of their step: so that each counts
// once, whoever sends it and however often.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "ps/gradient_sum.h"
#include "ps/lease_board.h"
#include "ps/messages.h"

namespace capstan {

// One thread at a time.
class PushBook {
 public:
  // Pushes of steps further ahead are refused, so no more than kStepsAhead × slices are kept.
  static constexpr int64_t kStepsAhead = 2;

  PushBook(TrainMode mode, int slices) : mode_(mode), slices_(slices) {}

  // All anew. `applied_step`: sync: all steps up to it are applied.
  void Begin(int64_t applied_step, const std::vector<LeaseMark>& marks);

  // True for a push that has come already; an error for one that must not come now.
  StatusOr<bool> IsOld(const PushIdentity& identity) const;
  // Whether the dense sums of a request are what its parts ask for: in sync nodes of the tree,
  // apart and in order, that hold the slices of the parts, all of one step, and no others; in async
  // one for its only part. IsOld must have taken the parts.
  Status CheckDense(const PushRequest& request) const;

  // Sync: keeps a part that is not old.
  void Store(StoredPart part);
  // Sync: keeps the dense sum of some slices of a step that is not applied. Of two nodes of which
  // one holds the other the larger one stays: a sum's bits are the same whoever has added it up.
  void StoreDense(int64_t step, StoredDense dense);
  // Sync: the next step, once all its parts are there; nothing before. Parts by slice; nodes, in
  // order, that hold each slice once.
  struct ReadyStep {
    std::vector<const StoredPart*> parts;
    std::vector<const StoredDense*> dense;
  };
  StatusOr<ReadyStep> Ready() const;
  // Sync: the next step is applied: its parts go.
  void FinishStep();

  // Async: a batch is applied.
  void Mark(const PushIdentity& identity) { marks_[identity.lease] = identity.index; }
  std::vector<LeaseMark> marks() const;

 private:
  struct Step {
    std::vector<std::optional<StoredPart>> parts;  // by slice
    std::map<int32_t, StoredDense> dense;          // by first slice; apart from each other
  };
  StatusOr<bool> IsOldSlice(const PushIdentity& identity) const;
  StatusOr<bool> IsOldBatch(const PushIdentity& identity) const;

  const TrainMode mode_;
  const int slices_;
  int64_t applied_step_ = 0;
  std::map<int64_t, Step> steps_;      // sync
  std::map<uint64_t, int64_t> marks_;  // async
};

}  // namespace capstan
