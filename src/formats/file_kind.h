// Finds out what a path is by looking at it.
#pragma once

#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

enum class FileKind {
  kUnknown,
  kTfRecord,
  kEventFile,         // the same framing, of Event messages
  kTensorBundle,      // `path` is the prefix
  kSavedModel,        // `path` is the folder with saved_model.pb
  kCheckpointFolder,  // `path` is the folder with the file `checkpoint`
  kMetaGraph,         // a serialized MetaGraphDef, as .meta files are
};
// "TFRecord", "event file", "checkpoint", …
std::string_view NameOf(FileKind kind);

struct DetectedFile {
  FileKind kind = FileKind::kUnknown;
  std::string path;
};

// `path` may be a file, a folder, the prefix of a checkpoint or any file of one, a folder of
// SavedModel versions (the highest is meant), a folder of event files (the newest is meant).
// kNotFound when nothing is there.
StatusOr<DetectedFile> DetectFileKind(FileSystem& fs, const std::string& path);

}  // namespace capstan
