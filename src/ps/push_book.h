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

  // Sync: keeps a part that is not old.
  void Store(StoredPart part);
  // Sync: the parts of the next step by slice, once all are there; empty before.
  std::vector<const StoredPart*> ReadyStep() const;
  // Sync: the next step is applied: its parts go.
  void FinishStep();

  // Async: a batch is applied.
  void Mark(const PushIdentity& identity) { marks_[identity.lease] = identity.index; }
  std::vector<LeaseMark> marks() const;

 private:
  StatusOr<bool> IsOldSlice(const PushIdentity& identity) const;
  StatusOr<bool> IsOldBatch(const PushIdentity& identity) const;

  const TrainMode mode_;
  const int slices_;
  int64_t applied_step_ = 0;
  std::map<int64_t, std::vector<std::optional<StoredPart>>> steps_;  // sync
  std::map<uint64_t, int64_t> marks_;                                // async
};

}  // namespace capstan
