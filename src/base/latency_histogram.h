// Times of one kind of work, counted in buckets.
#pragma once

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace capstan {

// A plain value: whoever shares one locks it.
struct LatencyHistogram {
  // Upper bounds of the buckets in seconds, three a decade; the last bucket has none.
  static constexpr std::array<double, 16> kBounds = {1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02,
                                                     0.05, 0.1,  0.2,  0.5,  1,    2,    5,    10};

  std::array<int64_t, kBounds.size() + 1> counts{};  // of each bucket alone
  double sum_seconds = 0;

  void Add(std::chrono::microseconds time) {
    const double seconds = std::chrono::duration<double>(time).count();
    const auto bucket = std::lower_bound(kBounds.begin(), kBounds.end(), seconds);
    ++counts[static_cast<size_t>(bucket - kBounds.begin())];
    sum_seconds += seconds;
  }
  int64_t count() const {
    int64_t all = 0;
    for (const int64_t one : counts) all += one;
    return all;
  }
};

}  // namespace capstan
