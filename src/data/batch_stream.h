// Files → batches, in an order that depends on the seed only, on threads of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "data/batch.h"
#include "data/feature_spec.h"

namespace capstan {

struct BatchStreamOptions {
  std::vector<std::string> paths;  // expanded
  std::string format;              // "tfrecord", "csv", "libsvm", "criteo", or "": found by looking
  int batch_size = 1024;           // examples
  int64_t epochs = 1;
  // The stream ends behind so many blocks, counted from its start, and the last batch of the last
  // one may be short; 0: all. A batch's position.batch says its number even if others were passed
  // over because all their records are bad. Without shuffling, a block is then 65,536 examples, rounded down to
  // whole batches.
  int64_t blocks = 0;
  // Examples permuted together; 0: file order, nothing permuted.
  int64_t shuffle_block = 65536;
  uint64_t seed = 0;
  int threads = 1;              // that parse; one more reads. 0: everything inline in Next()
  int prefetch = 4;             // batches made ahead
  int64_t max_bad_records = 0;  // more in one epoch stop the stream with an error
};

// What looking at the files found, for one line in the log.
struct InputReport {
  std::string format;       // "tfrecord", "csv with header", …
  std::string compression;  // "", "gzip", "zlib"
  std::string label_type;   // "int64" or "float"
  std::string text;  // the whole line: "tfrecord (gzip), label int64, features: features float[9]"
};

struct BadRecords {
  int64_t count = 0;               // of the epoch that had the most
  std::vector<std::string> first;  // the first ten, each with file, offset or line, and reason
};

// Next() from one thread; Stop() from any, which makes a waiting Next() return false.
class BatchStream {
 public:
  // Opens the first file, looks at it, checks it against the spec, starts the threads.
  static StatusOr<std::unique_ptr<BatchStream>> Open(FileSystem& fs, const InputSpec& spec,
                                                     const BatchStreamOptions& options,
                                                     const InputPosition& start);
  ~BatchStream();

  // The next batch in order; false at the end of the last epoch. `*batch` comes in as a spent batch
  // whose memory is used again, or null.
  StatusOr<bool> Next(std::unique_ptr<Batch>* batch);
  void Stop();

  const InputReport& report() const;
  BadRecords bad_records() const;

 private:
  class Rep;
  explicit BatchStream(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

// A look at the first records: what features they have, as a spec for users who gave none (the 2018
// scripts' choice between dense and sparse). kFloat "features" of the found length, or kId "ids"
// with "values".
StatusOr<InputSpec> DetectInputSpec(FileSystem& fs, const std::vector<std::string>& paths,
                                    const std::string& format);

// The blocks that a stream with these options reads.
struct BlockReaderOptions;
struct InputFormat;
BlockReaderOptions BlockReaderOptionsOf(const BatchStreamOptions& options,
                                        const InputFormat& format);

// Mean and standard deviation of the features that ask for it and have none yet, over at most
// `max_examples` examples of the files in order. A feature without variance gets stddev 1.
Status MeasureStandardisation(FileSystem& fs, const BatchStreamOptions& options,
                              int64_t max_examples, InputSpec* spec);

}  // namespace capstan
