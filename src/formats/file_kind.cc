#include "formats/file_kind.h"

#include <algorithm>

#include "formats/saved_model.h"
#include "formats/tensor_bundle.h"
#include "formats/tfrecord_reader.h"
#include "tensorflow/event.pb.h"

namespace capstan {
namespace {

constexpr std::string_view kEventMark = "tfevents";
constexpr std::string_view kIndexSuffix = ".index";
constexpr std::string_view kDataMark = ".data-";
constexpr std::string_view kMetaSuffix = ".meta";
constexpr size_t kMaxFirstEventBytes = 4096;
constexpr std::string_view kRecordMark = ".tfrecord";

StatusOr<DetectedFile> DetectFolder(FileSystem& fs, const std::string& path) {
  if (IsSavedModel(fs, path)) return DetectedFile{FileKind::kSavedModel, path};
  if (fs.Exists(JoinPath(path, "checkpoint"))) {
    return DetectedFile{FileKind::kCheckpointFolder, path};
  }
  const StatusOr<std::string> version = ResolveSavedModel(fs, path);
  if (version.ok() && IsSavedModel(fs, *version)) {
    return DetectedFile{FileKind::kSavedModel, *version};
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(path));
  // The names contain the time in ten digits: the last is the newest.
  const auto newest = std::find_if(names.rbegin(), names.rend(), [](const std::string& name) {
    return name.find(kEventMark) != std::string::npos;
  });
  if (newest != names.rend()) return DetectedFile{FileKind::kEventFile, JoinPath(path, *newest)};
  return DetectedFile{FileKind::kUnknown, path};
}

// Files of TFRecord framing: what the first record is. Nothing readable: what the name says.
FileKind DetectRecords(FileSystem& fs, const std::string& path) {
  const std::string name = FileNameOf(path);
  const bool named_events = name.find(kEventMark) != std::string::npos;
  FileKind by_name = FileKind::kUnknown;
  if (name.find(kRecordMark) != std::string::npos) by_name = FileKind::kTfRecord;
  if (named_events) by_name = FileKind::kEventFile;

  const auto reader = TfRecordReader::Open(fs, path);
  if (!reader.ok()) return by_name;
  std::string_view record;
  const StatusOr<bool> more = (*reader)->Next(&record);
  // A wrong payload behind a right header is a damaged TFRecord.
  const bool framed = more.ok() ? *more : (*reader)->can_continue();
  if (!framed) return by_name;
  tensorflow::Event event;
  if (named_events || (more.ok() && record.size() < kMaxFirstEventBytes &&
                       event.ParseFromArray(record.data(), static_cast<int>(record.size())) &&
                       event.file_version().starts_with("brain.Event:"))) {
    return FileKind::kEventFile;
  }
  return FileKind::kTfRecord;
}

}  // namespace

std::string_view NameOf(FileKind kind) {
  switch (kind) {
    case FileKind::kTfRecord:
      return "TFRecord";
    case FileKind::kEventFile:
      return "event file";
    case FileKind::kTensorBundle:
      return "checkpoint";
    case FileKind::kSavedModel:
      return "SavedModel";
    case FileKind::kCheckpointFolder:
      return "folder of checkpoints";
    case FileKind::kMetaGraph:
      return "MetaGraphDef";
    case FileKind::kUnknown:
      break;
  }
  return "unknown";
}

StatusOr<DetectedFile> DetectFileKind(FileSystem& fs, const std::string& path) {
  if (fs.IsFolder(path)) return DetectFolder(fs, path);
  if (fs.Exists(BundleIndexPath(path))) return DetectedFile{FileKind::kTensorBundle, path};
  if (!fs.Exists(path)) return NotFoundError("open {}: no such file, folder or checkpoint", path);

  const std::string name = FileNameOf(path);
  if (name.ends_with(kIndexSuffix)) {
    return DetectedFile{FileKind::kTensorBundle, path.substr(0, path.size() - kIndexSuffix.size())};
  }
  if (const size_t mark = path.rfind(kDataMark); mark != std::string::npos) {
    const std::string prefix = path.substr(0, mark);
    if (fs.Exists(BundleIndexPath(prefix))) return DetectedFile{FileKind::kTensorBundle, prefix};
  }
  if (name == "saved_model.pb" || name == "saved_model.pbtxt") {
    return DetectedFile{FileKind::kSavedModel, FolderOf(path)};
  }
  if (name == "checkpoint") return DetectedFile{FileKind::kCheckpointFolder, FolderOf(path)};
  const FileKind kind = DetectRecords(fs, path);
  if (kind == FileKind::kUnknown && name.ends_with(kMetaSuffix)) {
    return DetectedFile{FileKind::kMetaGraph, path};
  }
  return DetectedFile{kind, path};
}

}  // namespace capstan
