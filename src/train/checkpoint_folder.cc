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

// "checkpoint.ckpt-7.meta" and the like, if it is of a checkpoint of this base name:
// "checkpoint.ckpt-7".
std::string CheckpointOf(const std::string& file, const std::string& base_name) {
  if (!file.starts_with(base_name + "-")) return "";
  const size_t digits = base_name.size() + 1;
  const size_t end = file.find_first_not_of("0123456789", digits);
  if (end == digits || end == std::string::npos || file[end] != '.') return "";
  return file.substr(0, end);
}

int64_t StepOf(const std::string& name) {
  return std::strtoll(name.c_str() + name.rfind('-') + 1, nullptr, 10);
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
    const std::string checkpoint = CheckpointOf(name, base_name);
    const bool temporary = !checkpoint.empty() && name.find(".tmp") != std::string::npos;
    // (A file of that very name is a checkpoint in the format of before 2016.)
    const bool without_index = !checkpoint.empty() && !Contains(names, checkpoint + ".index") &&
                               !Contains(names, checkpoint);
    if (temporary || without_index || name == "checkpoint.tmp" ||
        name == std::string(kBestStateFile) + ".tmp") {
      RETURN_IF_ERROR(fs->Remove(JoinPath(folder, name)));
    }
  }
  return CheckpointFolder(fs, folder, base_name, keep);
}

StatusOr<std::string> CheckpointFolder::Newest() const {
  ASSIGN_OR_RETURN(CheckpointState state, ReadState(*fs_, folder_));
  if (state.newest.empty()) return std::string();
  state.all.push_back(state.newest);
  for (size_t i = state.all.size(); i > 0; --i) {
    const std::string prefix = FullPrefix(state.all[i - 1]);
    if (fs_->Exists(prefix + ".index")) return prefix;
  }
  return FullPrefix(state.newest);  // whoever reads it says what is missing
}

std::string CheckpointFolder::FullPrefix(const std::string& name) const {
  return name.starts_with("/") ? name : JoinPath(folder_, name);
}

Status CheckpointFolder::AdoptUnlisted(int64_t step, std::vector<std::string>* names) const {
  int64_t oldest = step;
  for (const std::string& name : *names) oldest = std::min(oldest, StepOf(name));
  ASSIGN_OR_RETURN(const std::vector<std::string> files, fs_->List(folder_));
  for (const std::string& file : files) {
    const std::string name = CheckpointOf(file, base_name_);
    if (name.empty() || file != name + ".index" || Contains(*names, name)) continue;
    if (StepOf(name) > oldest && StepOf(name) < step) names->push_back(name);
  }
  return OkStatus();
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
  RETURN_IF_ERROR(AdoptUnlisted(step, &names));
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
  const std::string prefix = FullPrefix(name);
  if (fs_->Exists(prefix + ".index")) RETURN_IF_ERROR(RemoveTensorBundle(*fs_, prefix));
  if (fs_->Exists(prefix + ".meta")) RETURN_IF_ERROR(fs_->Remove(prefix + ".meta"));
  return OkStatus();
}

}  // namespace capstan
