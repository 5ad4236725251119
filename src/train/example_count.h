// How many examples the files have, counted while training goes on.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/file_system.h"
#include "base/status.h"
#include "data/batch_stream.h"
#include "data/feature_spec.h"

namespace capstan {

// Of one epoch, by a BlockScanner on a thread of its own; every epoch has the same.
class ExampleCount {
 public:
  // `fs` outlives it.
  ExampleCount(FileSystem* fs, const InputSpec& spec, const BatchStreamOptions& options);
  // Gives up what is not counted yet.
  ~ExampleCount();

  // Of all epochs; waits for the end of the count.
  StatusOr<int64_t> OfAllEpochs();

 private:
  StatusOr<int64_t> Count();

  FileSystem* const fs_;
  const InputSpec spec_;
  const BatchStreamOptions options_;
  std::atomic<bool> stop_{false};
  StatusOr<int64_t> count_ = int64_t{0};  // once the thread has ended
  std::thread thread_;
};

}  // namespace capstan
