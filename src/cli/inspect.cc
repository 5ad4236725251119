#include "cli/inspect.h"

#include <nlohmann/json.hpp>

#include "cli/inspect_parts.h"
#include "formats/bundle_digest.h"
#include "formats/checkpoint_state.h"
#include "formats/digest.h"
#include "formats/tensor_bundle_reader.h"

namespace capstan {
namespace {

StatusOr<std::string> DigestOfBundle(FileSystem& fs, const std::string& prefix) {
  ASSIGN_OR_RETURN(const auto reader, TensorBundleReader::Open(fs, prefix));
  return DigestBundle(*reader);
}

StatusOr<std::string> DigestOf(FileSystem& fs, const DetectedFile& file) {
  switch (file.kind) {
    case FileKind::kTfRecord:
    case FileKind::kEventFile:
      return DigestRecords(fs, file.path);
    case FileKind::kTensorBundle:
      return DigestOfBundle(fs, file.path);
    case FileKind::kCheckpointFolder: {
      ASSIGN_OR_RETURN(const std::string newest, LatestCheckpoint(fs, file.path));
      return DigestOfBundle(fs, newest);
    }
    case FileKind::kSavedModel:
      return DigestSavedModel(fs, file.path);
    case FileKind::kMetaGraph:
    case FileKind::kUnknown:
      break;
  }
  return Error("digest of {}: not of a {}", file.path, NameOf(file.kind));
}

StatusOr<std::string> InspectKind(FileSystem& fs, const DetectedFile& file,
                                  const InspectOptions& options) {
  switch (file.kind) {
    case FileKind::kTfRecord:
      return InspectRecords(fs, file.path, options);
    case FileKind::kEventFile:
      return InspectEvents(fs, file.path, options);
    case FileKind::kTensorBundle:
      return InspectBundle(fs, file.path, options);
    case FileKind::kCheckpointFolder:
      return InspectCheckpointFolder(fs, file.path, options);
    case FileKind::kSavedModel:
      return InspectSavedModel(fs, file.path, options);
    case FileKind::kMetaGraph:
      return InspectMetaGraphFile(fs, file.path, options);
    case FileKind::kUnknown:
      break;
  }
  return Error("{} is unknown", file.path);
}

}  // namespace

StatusOr<std::string> Inspect(FileSystem& fs, const std::string& path,
                              const InspectOptions& options) {
  ASSIGN_OR_RETURN(const DetectedFile file, DetectFileKind(fs, path));
  if (file.kind == FileKind::kUnknown) {
    return Error("inspect {}: no TFRecord, event file, checkpoint, SavedModel or folder of these",
                 path);
  }
  if (options.digest) {
    ASSIGN_OR_RETURN(const std::string digest, DigestOf(fs, file));
    return digest + "\n";
  }
  ASSIGN_OR_RETURN(const std::string content, InspectKind(fs, file, options));
  if (!options.json) return fmt::format("{} {}: {}", NameOf(file.kind), file.path, content);
  nlohmann::ordered_json json;
  json["kind"] = NameOf(file.kind);
  json["path"] = JsonText(file.path);
  json.update(nlohmann::ordered_json::parse(content));
  return json.dump(2) + "\n";
}

}  // namespace capstan
