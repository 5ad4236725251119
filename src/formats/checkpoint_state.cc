#include "formats/checkpoint_state.h"

#include <google/protobuf/text_format.h>

#include <algorithm>

#include "formats/text_proto.h"
#include "tensorflow/checkpoint_state.pb.h"

namespace capstan {
namespace {

constexpr uint64_t kMaxStateBytes = 1 << 24;

std::string StatePath(const std::string& folder) { return JoinPath(folder, "checkpoint"); }

}  // namespace

StatusOr<CheckpointState> ReadCheckpointState(FileSystem& fs, const std::string& folder) {
  const std::string path = StatePath(folder);
  ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path, kMaxStateBytes));
  tensorflow::CheckpointState proto;
  RETURN_IF_ERROR(ParseTextProto(text, path, &proto));
  if (proto.model_checkpoint_path().empty()) {
    return CorruptionError("read {}: it has no model_checkpoint_path", path);
  }
  CheckpointState state;
  state.newest = proto.model_checkpoint_path();
  state.all.assign(proto.all_model_checkpoint_paths().begin(),
                   proto.all_model_checkpoint_paths().end());
  // As TensorFlow does: the newest is always there, and last.
  if (state.all.empty() || state.all.back() != state.newest) {
    std::erase(state.all, state.newest);
    state.all.push_back(state.newest);
  }
  return state;
}

Status WriteCheckpointState(FileSystem& fs, const std::string& folder,
                            const CheckpointState& state) {
  tensorflow::CheckpointState proto;
  proto.set_model_checkpoint_path(state.newest);
  for (const std::string& path : state.all) {
    if (path != state.newest) proto.add_all_model_checkpoint_paths(path);
  }
  proto.add_all_model_checkpoint_paths(state.newest);
  std::string text;
  google::protobuf::TextFormat::PrintToString(proto, &text);
  return WriteFileAtomically(fs, StatePath(folder), text);
}

StatusOr<std::string> LatestCheckpoint(FileSystem& fs, const std::string& folder) {
  ASSIGN_OR_RETURN(const CheckpointState state, ReadCheckpointState(fs, folder));
  return state.newest[0] == '/' ? state.newest : JoinPath(folder, state.newest);
}

}  // namespace capstan
