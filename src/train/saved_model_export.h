// SavedModels: BASE/<next version>/, written beside and renamed.
#pragma once

#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "model/model.h"
#include "params/snapshot.h"

namespace capstan {

// Returns the folder of the new version. Whoever looks at BASE sees the version whole or not at
// all; leftovers of exports that were killed are removed.
StatusOr<std::string> ExportSavedModel(FileSystem& fs, const std::string& base, const Model& model,
                                       Snapshot* snapshot);

// The newest checkpoint of a folder (or the one of a prefix) as a SavedModel. `spec`: for
// checkpoints that carry no model file; may be null.
StatusOr<std::string> ExportCheckpoint(FileSystem& fs, const std::string& checkpoint,
                                       const ModelSpec* spec, const std::string& base,
                                       WorkerPool* pool);

}  // namespace capstan
