#include "formats/saved_model.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "formats/text_proto.h"
#include "tensorflow/saved_model.pb.h"

namespace capstan {
namespace {

constexpr uint64_t kMaxProtoBytes = std::numeric_limits<int>::max();
constexpr int kSchemaVersion = 1;

std::string BinaryPath(const std::string& folder) { return JoinPath(folder, "saved_model.pb"); }
std::string TextPath(const std::string& folder) { return JoinPath(folder, "saved_model.pbtxt"); }

// -1: the name is no version.
int64_t VersionOf(const std::string& name) {
  int64_t version = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, error] = std::from_chars(name.data(), end, version);
  return error == std::errc() && stop == end && version >= 0 ? version : -1;
}

template <typename T>
StatusOr<std::string> SerializeSorted(const T& message, const char* what) {
  const size_t size_bytes = message.ByteSizeLong();
  if (size_bytes > kMaxProtoBytes) {
    return Error("write {}: {} bytes, a message has at most {}", what, size_bytes, kMaxProtoBytes);
  }
  std::string bytes;
  bytes.reserve(size_bytes);
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeWithCachedSizes(&coded);
  coded.Trim();
  return bytes;
}

}  // namespace

StatusOr<std::unique_ptr<tensorflow::SavedModel>> ReadSavedModel(FileSystem& fs,
                                                                 const std::string& folder) {
  auto model = std::make_unique<tensorflow::SavedModel>();
  const std::string path = BinaryPath(folder);
  if (!fs.Exists(path) && fs.Exists(TextPath(folder))) {
    ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, TextPath(folder), kMaxProtoBytes));
    RETURN_IF_ERROR(ParseTextProto(text, TextPath(folder), model.get()));
  } else {
    ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, path, kMaxProtoBytes));
    if (!model->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return CorruptionError("read {}: its {} bytes are no SavedModel", path, bytes.size());
    }
  }
  if (model->meta_graphs().empty()) {
    return CorruptionError("read {}: it holds no graph", path);
  }
  if (model->saved_model_schema_version() > kSchemaVersion) {
    return Error("read {}: schema version {}, this reader knows {}", path,
                 model->saved_model_schema_version(), kSchemaVersion);
  }
  return model;
}

bool IsSavedModel(FileSystem& fs, const std::string& folder) {
  return fs.Exists(BinaryPath(folder)) || fs.Exists(TextPath(folder));
}

std::string SavedModelVariablesPrefix(const std::string& folder) {
  return JoinPath(folder, "variables/variables");
}

StatusOr<std::string> SerializeDeterministically(const tensorflow::MetaGraphDef& meta_graph) {
  return SerializeSorted(meta_graph, "MetaGraphDef");
}

Status WriteSavedModelProto(FileSystem& fs, const std::string& folder,
                            const tensorflow::MetaGraphDef& meta_graph) {
  tensorflow::SavedModel model;
  model.set_saved_model_schema_version(kSchemaVersion);
  *model.add_meta_graphs() = meta_graph;
  ASSIGN_OR_RETURN(const std::string bytes, SerializeSorted(model, "SavedModel"));
  RETURN_IF_ERROR(fs.CreateFolder(folder));
  return WriteFileAtomically(fs, BinaryPath(folder), bytes);
}

StatusOr<std::vector<int64_t>> ListVersions(FileSystem& fs, const std::string& base) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(base));
  std::vector<int64_t> versions;
  for (const std::string& name : names) {
    const int64_t version = VersionOf(name);
    if (version >= 0 && fs.IsFolder(JoinPath(base, name))) versions.push_back(version);
  }
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  return versions;
}

StatusOr<std::string> ResolveSavedModel(FileSystem& fs, const std::string& path) {
  if (IsSavedModel(fs, path)) return path;
  ASSIGN_OR_RETURN(const std::vector<int64_t> versions, ListVersions(fs, path));
  if (versions.empty()) {
    return NotFoundError("open SavedModel {}: no saved_model.pb and no folder of a version", path);
  }
  // The name may have leading zeros.
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(path));
  for (const std::string& name : names) {
    if (VersionOf(name) == versions.back() && fs.IsFolder(JoinPath(path, name))) {
      return JoinPath(path, name);
    }
  }
  return NotFoundError("open SavedModel {}: version {} is gone", path, versions.back());
}

}  // namespace capstan
