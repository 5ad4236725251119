#include "params/age_window.h"

#include <algorithm>

namespace capstan {

StatusOr<AgeWindow> AgeWindow::Create(int64_t expiry_steps) {
  AgeWindow window;
  if (expiry_steps <= 0 || expiry_steps > (int64_t{1} << 30)) return window;
  window.expiry_ = expiry_steps;
  window.slots_ = expiry_steps + 1;
  ASSIGN_OR_RETURN(window.ring_, HugeBlock::Allocate(window.slots_ * sizeof(uint32_t)));
  return window;
}

void AgeWindow::Advance(int64_t step) {
  if (step <= step_) return;
  if (active()) {
    // The slots of the steps that come in are those of the steps that fall out.
    const int64_t first = std::max(step_ + 1, step - expiry_);
    for (int64_t s = first; s <= step; ++s) {
      alive_ -= Rows(s).load(std::memory_order_relaxed);
      Rows(s).store(0, std::memory_order_relaxed);
    }
  }
  step_ = step;
}

void AgeWindow::Add(uint32_t last_step) {
  if (!active()) return;
  Advance(last_step);
  if (Expired(last_step)) return;
  Rows(last_step).fetch_add(1, std::memory_order_relaxed);
  ++alive_;
}

void AgeWindow::Move(uint32_t from, uint32_t to) {
  if (!active() || from == to) return;
  Rows(from).fetch_sub(1, std::memory_order_relaxed);
  Rows(to).fetch_add(1, std::memory_order_relaxed);
}

void AgeWindow::Remove(uint32_t last_step) {
  if (!active()) return;
  Rows(last_step).fetch_sub(1, std::memory_order_relaxed);
  --alive_;
}

}  // namespace capstan
