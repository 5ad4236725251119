// SavedModel folders:
//
//   DIR/saved_model.pb                    SavedModel{schema 1, one MetaGraphDef or more}
//   DIR/variables/variables.{index,data-…}  a tensor bundle (absent: nothing to restore)
//   DIR/assets/…                          files that table initialisers read
//   DIR/assets.extra/…                    ours: capstan_model.yaml, the model file of an export
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"

namespace tensorflow {
class MetaGraphDef;
class SavedModel;
}  // namespace tensorflow

namespace capstan {

// Reads saved_model.pb, else saved_model.pbtxt. Errors name the file.
StatusOr<std::unique_ptr<tensorflow::SavedModel>> ReadSavedModel(FileSystem& fs,
                                                                 const std::string& folder);
bool IsSavedModel(FileSystem& fs, const std::string& folder);
// "DIR/variables/variables"
std::string SavedModelVariablesPrefix(const std::string& folder);

// Serialises with sorted maps: equal messages give equal bytes.
StatusOr<std::string> SerializeDeterministically(const tensorflow::MetaGraphDef& meta_graph);
Status WriteSavedModelProto(FileSystem& fs, const std::string& folder,
                            const tensorflow::MetaGraphDef& meta_graph);

// Versions are the decimal folder names below `base`: sorted ascending.
StatusOr<std::vector<int64_t>> ListVersions(FileSystem& fs, const std::string& base);
// DIR itself, if it is a SavedModel, else its highest version.
StatusOr<std::string> ResolveSavedModel(FileSystem& fs, const std::string& path);

}  // namespace capstan
