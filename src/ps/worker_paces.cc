#include "ps/worker_paces.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace capstan {
namespace {
// Measures that the moving average remembers: a step that was slow for once should not change how
// the next ones are shared out.
constexpr int kMeasures = 16;
constexpr double kNear = 0.2;  // to a power of two
}  // namespace

void WorkerPaces::Given(int worker, int64_t step, int slices, std::chrono::milliseconds now) {
  Worker& taker = workers_[worker];
  taker.measured_slices = taker.step == step ? 0 : slices;
  taker.step = step;
  taker.given = now;
}

void WorkerPaces::Reported(int worker, int64_t step, int slices, std::chrono::milliseconds now) {
  const auto found = workers_.find(worker);
  if (found == workers_.end()) return;
  Worker& reporter = found->second;
  if (reporter.step != step || reporter.measured_slices != slices || slices == 0) return;
  reporter.measured_slices = 0;
  if (now <= reporter.given) return;
  const double pace = slices / static_cast<double>((now - reporter.given).count());
  double& average = reporter.slices_per_ms;
  reporter.measures = std::min(reporter.measures + 1, kMeasures);
  average += (pace - average) / reporter.measures;
}

bool WorkerPaces::HasHad(int worker, int64_t step) const {
  const auto found = workers_.find(worker);
  return found != workers_.end() && found->second.step == step;
}

int WorkerPaces::ShareOf(int worker, int slices) const {
  const int count = std::max(1, static_cast<int>(workers_.size()));
  double sum = 0;
  int known = 0;
  for (const auto& [index, one] : workers_) {
    sum += one.slices_per_ms;
    known += one.slices_per_ms > 0 ? 1 : 0;
  }
  if (known == 0) return std::max(1, (slices + count - 1) / count);
  const double average = sum / known;
  const auto found = workers_.find(worker);
  const bool is_known = found != workers_.end() && found->second.slices_per_ms > 0;
  const double pace = is_known ? found->second.slices_per_ms : average;
  const double share = slices * pace / (average * count);
  const auto rounded = std::lround(share);
  if (rounded <= 1) return 1;
  const double below = static_cast<double>(std::bit_floor(static_cast<uint64_t>(share)));
  for (const double power : {below, 2 * below}) {
    if (power < slices && std::abs(share - power) <= kNear * power) return static_cast<int>(power);
  }
  return std::min(static_cast<int>(rounded), slices);
}

}  // namespace capstan
