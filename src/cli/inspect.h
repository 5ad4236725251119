// What is in a file of TensorFlow's formats: for a person, as JSON, or as one number.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "formats/file_kind.h"

namespace capstan {

struct InspectOptions {
  bool json = false;
  bool digest = false;        // nothing but a digest
  std::string values;         // comma list of tensors whose values are shown too
  int64_t max_values = 1000;  // of one tensor
  int64_t examples = 3;       // records of a TFRecord that are shown
};

// The text to print, with a line end. Errors name the place. The digest of a checkpoint is that of
// formats/bundle_digest.h; of records and events: their payloads in order; of a SavedModel: graphs
// and variables.
StatusOr<std::string> Inspect(FileSystem& fs, const std::string& path,
                              const InspectOptions& options);

}  // namespace capstan
