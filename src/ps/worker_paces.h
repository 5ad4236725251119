// How fast each worker does slices, and which share of a step it gets for that. Shares decide who
// computes what, never what is computed.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>

namespace capstan {

// Of workers that are there. One thread at a time; `now` is a monotonic clock's.
class WorkerPaces {
 public:
  void Meet(int worker) { workers_[worker]; }
  // Forgets its pace too.
  void Lost(int worker) { workers_.erase(worker); }

  // A worker gets slices of a step. Measured is the time from what it gets first of a step to its
  // report; later ones are what others have left, and too small to say much.
  void Given(int worker, int64_t step, int slices, std::chrono::milliseconds now);
  // It reports so many slices of a step. What comes twice, or not all at once, is no measure.
  void Reported(int worker, int64_t step, int slices, std::chrono::milliseconds now);
  bool HasHad(int worker, int64_t step) const;

  // How many of `slices` are its part: as its pace is to the sum of all paces, rounded; at least
  // one. A share within a fifth of a power of two is that power, because a whole node of the tree
  // is pushed as one sum (slice_tree.h). A worker whose pace is not known is taken for an average
  // one; if none is known, shares are equal and rounded up. Nobody is rounded up to all of them.
  int ShareOf(int worker, int slices) const;

 private:
  struct Worker {
    double slices_per_ms = 0;  // moving average; 0: not known …
    int measures = 0;          // … of so many
    int64_t step = 0;          // the last that it had slices of
    int measured_slices = 0;   // of that step, whose report is awaited; 0: none
    std::chrono::milliseconds given{0};
  };
  std::map<int, Worker> workers_;
};

}  // namespace capstan
