#include "train/example_count.h"

#include "data/block_scanner.h"

namespace capstan {

ExampleCount::ExampleCount(FileSystem* fs, const InputSpec& spec, const BatchStreamOptions& options)
    : fs_(fs), spec_(spec), options_(options), thread_([this] { count_ = Count(); }) {}

ExampleCount::~ExampleCount() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

StatusOr<int64_t> ExampleCount::Count() {
  BatchStreamOptions one_epoch = options_;
  one_epoch.epochs = 1;
  ASSIGN_OR_RETURN(const std::unique_ptr<BlockScanner> scanner,
                   BlockScanner::Open(*fs_, spec_, one_epoch, InputPosition()));
  int64_t count = 0;
  ScannedBlock block;
  while (!stop_) {
    ASSIGN_OR_RETURN(const bool more, scanner->Next(&block));
    if (!more) return count;
    count += block.examples;
  }
  return MakeStatus(absl::StatusCode::kCancelled, "stopped");
}

StatusOr<int64_t> ExampleCount::OfAllEpochs() {
  if (thread_.joinable()) thread_.join();
  RETURN_IF_ERROR(count_.status());
  return *count_ * options_.epochs;
}

}  // namespace capstan
