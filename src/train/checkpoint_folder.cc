#include "train/checkpoint_folder.h"

#include <algorithm>

#include "formats/checkpoint_state.h"
#include "formats/tensor_bundle_writer.h"

namespace capstan {
namespace {

constexpr char kBestStateFile[] = "best_checkpoint";

// The state as this class writes it: names relative to the folder. Absent: empty.
StatusOr<CheckpointState> ReadState(FileSystem& fs, const std::string& folder) {
  StatusOr<CheckpointState> state = ReadCheckpointState(fs, folder);
  if (!state.ok() && absl::IsNotFound(state.status())) return CheckpointState();
  return state;
}

// What the file `best_checkpoint` holds is one line: the name.
std::string ReadBest(FileSystem& fs, const std::string& folder) {
  const StatusOr<std::string> text = ReadFile(fs, JoinPath(folder, kBestStateFile), 4096);
  if (!text.ok()) return "";
  return text->substr(0, text->find('\n'));
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

CheckpointFolder::CheckpointFolder(FileSystem* fs, std::string folder, std::string base_name,
                                   int keep)
    : fs_(fs), folder_(std::move(folder)), base_name_(std::move(base_name)), keep_(keep) {}

StatusOr<CheckpointFolder> CheckpointFolder::Open(FileSystem* fs, const std::string& folder,
                                                  const std::string& base_name, int keep) {
  if (keep < 1) return Error("checkpoints to keep: {} < 1", keep);
  RETURN_IF_ERROR(fs->CreateFolder(folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs->List(folder));
  for (const std::string& name : names) {
    if (name.starts_with(base_name + "-") && name.find(".tmp") != std::string::npos) {
      RETURN_IF_ERROR(fs->Remove(JoinPath(folder, name)));
    }
  }
  return CheckpointFolder(fs, folder, base_name, keep);
}

StatusOr<std::string> CheckpointFolder::Newest() const {
  StatusOr<std::string> prefix = LatestCheckpoint(*fs_, folder_);
  if (!prefix.ok() && absl::IsNotFound(prefix.status())) return std::string();
  return prefix;
}

std::string CheckpointFolder::PrefixOf(int64_t step) const {
  return JoinPath(folder_, fmt::format("{}-{}", base_name_, step));
}

Status CheckpointFolder::Commit(int64_t step, bool is_best) {
  const std::string name = fmt::format("{}-{}", base_name_, step);
  ASSIGN_OR_RETURN(CheckpointState state, ReadState(*fs_, folder_));
  const std::string old_best = ReadBest(*fs_, folder_);
  const std::string best = is_best ? name : starts_over_ ? "" : old_best;

  std::vector<std::string> names = state.all;
  std::erase(names, name);
  names.push_back(name);
  CheckpointState next;
  next.newest = name;
  for (size_t i = 0; i < names.size(); ++i) {
    const bool newest = i + 1 == names.size();
    const bool kept = newest || (!starts_over_ && i + keep_ >= names.size()) || names[i] == best;
    if (kept) next.all.push_back(names[i]);
  }
  if (best != old_best) {
    RETURN_IF_ERROR(WriteFileAtomically(*fs_, JoinPath(folder_, kBestStateFile), best + "\n"));
  }
  RETURN_IF_ERROR(WriteCheckpointState(*fs_, folder_, next));
  starts_over_ = false;
  for (const std::string& old : names) {
    if (!Contains(next.all, old)) RETURN_IF_ERROR(RemoveCheckpoint(old));
  }
  return OkStatus();
}

Status CheckpointFolder::RemoveCheckpoint(const std::string& name) {
  const std::string prefix = name.starts_with("/") ? name : JoinPath(folder_, name);
  if (fs_->Exists(prefix + ".index")) RETURN_IF_ERROR(RemoveTensorBundle(*fs_, prefix));
  if (fs_->Exists(prefix + ".meta")) RETURN_IF_ERROR(fs_->Remove(prefix + ".meta"));
  return OkStatus();
}

}  // namespace capstan
