// What `evaluate`, `predict` and `train --mode=inference` share: a model applied to files.
#pragma once

#include <functional>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "data/batch_stream.h"
#include "model/metrics.h"
#include "model/model_spec.h"

namespace capstan {

struct FileScoringOptions {
  std::string source;                 // SavedModel, versions, checkpoints: see ModelSource
  const ModelSpec* spec = nullptr;    // for sources that carry no model file
  std::string group, example_weight;  // columns; "": as the model has them
  std::string id_columns;             // comma list; "": as the model has them
  BatchStreamOptions stream;          // files, format, batch size
  bool evaluate = false;              // metrics (the files must have labels)
  std::string output;                 // predictions; "": none, "-": standard output
  std::string output_format;          // "": by the ending
  int threads = 1;
  std::function<void(const std::string&)> log = [](const std::string&) {};
  std::function<void(const EvaluationResult&)> result = [](const EvaluationResult&) {};
};

Status ScoreFiles(FileSystem& fs, const FileScoringOptions& options);

}  // namespace capstan
