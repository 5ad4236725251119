// How many rows of a table are alive, exactly and at once, while the memory of those that have
// expired is taken back little by little. A row is alive at step s when s - last seen <= expiry.
// So what a run computes, and what its checkpoints hold, never depends on when memory was swept.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/huge_pages.h"
#include "base/status.h"

namespace capstan {

class AgeWindow {
 public:
  // Steps above 2^30 count as never. 0: nothing expires.
  static StatusOr<AgeWindow> Create(int64_t expiry_steps);
  AgeWindow(AgeWindow&&) = default;
  AgeWindow& operator=(AgeWindow&&) = default;

  bool active() const { return expiry_ > 0; }
  int64_t step() const { return step_; }
  // Later steps make rows expire; earlier ones are ignored.
  void Advance(int64_t step);
  bool Expired(uint32_t last_step) const { return ExpiredAt(last_step, step_); }
  bool ExpiredAt(uint32_t last_step, int64_t step) const {
    return active() && step - last_step > expiry_;
  }

  // A row came, was seen again (not expired before), or went (not expired before).
  void Add(uint32_t last_step);
  // Moves from several threads may run together.
  void Move(uint32_t from, uint32_t to);
  void Remove(uint32_t last_step);

  // Rows that have not expired. Only when active.
  int64_t alive() const { return alive_; }

 private:
  AgeWindow() = default;
  std::atomic_ref<uint32_t> Rows(int64_t step) const {
    return std::atomic_ref<uint32_t>(reinterpret_cast<uint32_t*>(ring_.data())[step % slots_]);
  }

  int64_t expiry_ = 0;
  int64_t slots_ = 1;
  int64_t step_ = 0;
  int64_t alive_ = 0;
  HugeBlock ring_;  // rows by last step, expiry + 1 steps; touched only as far as steps went
};

}  // namespace capstan
