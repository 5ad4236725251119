// Time comes in from outside: the machine's clock, or a test's.
#pragma once

#include <chrono>

namespace capstan {

class Clock {
 public:
  virtual ~Clock() = default;

  // Never goes back; for differences.
  virtual std::chrono::microseconds Monotonic() = 0;
  // Seconds since 1970, for time stamps.
  virtual double WallSeconds() = 0;
};

// Thread-safe, no state.
class SystemClock : public Clock {
 public:
  std::chrono::microseconds Monotonic() override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now().time_since_epoch());
  }
  double WallSeconds() override {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
};

// Moves only when told; one thread.
class ManualClock : public Clock {
 public:
  std::chrono::microseconds Monotonic() override { return now_; }
  double WallSeconds() override { return std::chrono::duration<double>(now_).count(); }
  void Advance(std::chrono::microseconds span) { now_ += span; }

 private:
  std::chrono::microseconds now_{0};
};

}  // namespace capstan
