// Predictions as a file: CSV, JSON lines, TFRecords of tf.Example, or the 2018 scripts' text.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "data/batch.h"
#include "model/model_spec.h"

namespace capstan {

enum class PredictionFormat {
  kCsv,       // header; id columns, prediction, probability (or probability_0 … for more classes)
  kJson,      // one object per line, the same names; "probability" is a list for more classes
  kTfRecord,  // tf.Example with the same names
  kScript,    // probabilities of all classes by commas in %.18e: inference_result.txt
};
// By name (csv, json, tfrecord, script) or, where that is empty, by the path's ending.
StatusOr<PredictionFormat> ParsePredictionFormat(const std::string& name, const std::string& path);

// Written beside and renamed by Close(): a file of that name is whole. "-" is the standard output.
class PredictionWriter {
 public:
  virtual ~PredictionWriter() = default;

  // logits: [batch, OutputCount].
  virtual Status Write(const Batch& batch, std::span<const float> logits) = 0;
  virtual Status Close() = 0;
};
StatusOr<std::unique_ptr<PredictionWriter>> NewPredictionWriter(FileSystem& fs,
                                                                const std::string& path,
                                                                PredictionFormat format,
                                                                const ModelSpec& spec);

}  // namespace capstan
