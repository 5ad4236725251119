// Where the blocks of the input begin, found without reading what is in them: the leases of
// asynchronous training.
#pragma once

#include <cstdint>
#include <memory>

#include "base/file_system.h"
#include "base/status.h"
#include "data/batch_stream.h"
#include "data/feature_spec.h"
#include "data/input_position.h"

namespace capstan {

struct ScannedBlock {
  InputPosition start;   // batch and example are 0
  int64_t examples = 0;  // records; bad ones count
};

// The blocks of all epochs in order: those that BatchStream with `blocks` = 1 reads from their
// starts. Plain TFRecord: only lengths are read (some millions of records per second); other files
// are read through. One thread.
class BlockScanner {
 public:
  // Looks at the first file for the format. `start` is the start of a block.
  static StatusOr<std::unique_ptr<BlockScanner>> Open(FileSystem& fs, const InputSpec& spec,
                                                      const BatchStreamOptions& options,
                                                      const InputPosition& start);
  ~BlockScanner();

  // The next block; false at the end of the last epoch. Damage that is seen on the way is an error
  // unless bad records are allowed.
  StatusOr<bool> Next(ScannedBlock* block);

  // Where the next block begins.
  InputPosition position() const;

 private:
  struct Rep;
  explicit BlockScanner(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
