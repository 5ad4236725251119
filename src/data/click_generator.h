// Generates data with a known best possible AUC: what `capstan synth` does.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "data/teacher.h"

namespace capstan {

struct ClickGeneratorOptions {
  std::string kind = "clicks";  // "clicks", "dense" or "sparse": data/teacher.h
  // Rows first_row … first_row + rows - 1 of the endless data of this seed, scale and cap: training
  // and validation data of the same truth are two ranges of it.
  int64_t rows = 0;
  int64_t first_row = 0;
  TeacherOptions teacher;

  // "clicks/train" gives clicks/train-00000-of-00004.tfrecord (.csv, .libsvm, .tsv), …; missing
  // folders are made.
  std::string prefix;
  int files = 1;
  std::string format = "tfrecord";  // "tfrecord", "csv" (with a header), "libsvm", "criteo"
  bool gzip = false;                // tfrecord only; adds .gz
};

struct GeneratedClicks {
  std::vector<std::string> paths;
  int64_t rows = 0;
  int64_t size_bytes = 0;  // before compression
  double positive_rate = 0;
  // Of the true probabilities over the generated labels: the most that a model can reach.
  double best_auc = 0;
  double best_log_loss = 0;
};

// Writes the files under temporary names and renames them at the end; after an error there are
// none. The same options give the same bytes for any pool.
StatusOr<GeneratedClicks> GenerateClicks(FileSystem& fs, const ClickGeneratorOptions& options,
                                         WorkerPool* pool);

}  // namespace capstan
