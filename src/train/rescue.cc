#include "train/rescue.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>

#include "formats/tensor_bundle_reader.h"
#include "formats/tensor_bundle_writer.h"
#include "train/parameter_writer.h"

namespace capstan {
namespace {

constexpr int64_t kVersion = 1;
constexpr size_t kFields = 6;  // version, mode, servers, index, base step, job hash
constexpr char kRescueName[] = "capstan/rescue";

std::string StateOf(const std::string& prefix) { return prefix + ".state"; }

struct RescueName {
  int64_t step = 0;
  int index = 0, servers = 0;
};

std::optional<int64_t> TakeNumber(std::string_view* text, std::string_view before) {
  if (!text->starts_with(before)) return std::nullopt;
  text->remove_prefix(before.size());
  const size_t digits = std::min(text->find_first_not_of("0123456789"), text->size());
  if (digits == 0 || digits > 18) return std::nullopt;
  const int64_t number = std::strtoll(std::string(text->substr(0, digits)).c_str(), nullptr, 10);
  text->remove_prefix(digits);
  return number;
}

// Of "rescue-57.ps-0-of-2.index".
std::optional<RescueName> ParseIndexName(std::string_view name) {
  const auto step = TakeNumber(&name, "rescue-");
  const auto index = step ? TakeNumber(&name, ".ps-") : std::nullopt;
  const auto servers = index ? TakeNumber(&name, "-of-") : std::nullopt;
  if (!servers || name != ".index" || *index >= *servers || *servers > 10'000) return std::nullopt;
  return RescueName{*step, static_cast<int>(*index), static_cast<int>(*servers)};
}

Status WriteState(FileSystem& fs, const std::string& prefix, const RescueState& state) {
  ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                   TensorBundleWriter::Create(fs, StateOf(prefix)));
  const std::vector<int64_t> fields = {kVersion,        static_cast<int64_t>(state.mode),
                                       state.servers,   state.index,
                                       state.base_step, static_cast<int64_t>(state.job_hash)};
  std::vector<int64_t> pairs;
  for (const LeaseMark& mark : state.marks) {
    pairs.insert(pairs.end(), {static_cast<int64_t>(mark.lease), mark.index});
  }
  RETURN_IF_ERROR(writer->AddInts("global_step", {}, {&state.step, 1}));
  RETURN_IF_ERROR(writer->AddStrings("capstan/model_file", {}, {&state.model_file, 1}));
  RETURN_IF_ERROR(writer->AddInts(kRescueName, {kFields}, fields));
  RETURN_IF_ERROR(
      writer->AddInts("capstan/lease_marks", {static_cast<int64_t>(state.marks.size()), 2}, pairs));
  return writer->Finish();
}

}  // namespace

std::string RescuePrefix(const std::string& folder, int64_t step, int index, int servers) {
  return JoinPath(folder, fmt::format("rescue-{}.ps-{}-of-{}", step, index, servers));
}

Status WriteRescue(FileSystem& fs, const std::string& folder, const RescueState& state,
                   const std::vector<TableSpec>& tables, const std::vector<DenseSpec>& pieces,
                   Snapshot* snapshot) {
  const std::string prefix = RescuePrefix(folder, state.step, state.index, state.servers);
  RETURN_IF_ERROR(fs.CreateFolder(folder));
  const auto write = [&]() -> Status {
    RETURN_IF_ERROR(WriteState(fs, prefix, state));
    ASSIGN_OR_RETURN(std::unique_ptr<TensorBundleWriter> writer,
                     TensorBundleWriter::Create(fs, prefix));
    RETURN_IF_ERROR(WriteParameters(tables, pieces, {.is_part = true}, snapshot, writer.get()));
    return writer->Finish();
  };
  const Status status = write();
  if (!status.ok()) {
    RemoveTensorBundle(fs, StateOf(prefix)).IgnoreError();
    return status;
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(folder));
  for (const std::string& name : names) {
    const auto other = ParseIndexName(name);
    if (!other || other->index != state.index) continue;
    const std::string old = RescuePrefix(folder, other->step, other->index, other->servers);
    if (old == prefix) continue;
    RemoveTensorBundle(fs, old).IgnoreError();
    RemoveTensorBundle(fs, StateOf(old)).IgnoreError();
  }
  return OkStatus();
}

StatusOr<RescueState> ReadRescueState(FileSystem& fs, const std::string& prefix) {
  ASSIGN_OR_RETURN(const std::unique_ptr<TensorBundleReader> reader,
                   TensorBundleReader::Open(fs, StateOf(prefix)));
  ASSIGN_OR_RETURN(const std::vector<int64_t> step, reader->ReadInts("global_step"));
  ASSIGN_OR_RETURN(const std::vector<int64_t> fields, reader->ReadInts(kRescueName));
  if (step.size() != 1 || fields.size() != kFields || fields[0] != kVersion) {
    return Error("{}: {} has {} numbers or another version than {}", prefix, kRescueName,
                 fields.size(), kVersion);
  }
  RescueState state;
  state.step = step[0];
  state.mode = fields[1] == 0 ? TrainMode::kAsync : TrainMode::kSync;
  state.servers = static_cast<int>(fields[2]);
  state.index = static_cast<int>(fields[3]);
  state.base_step = fields[4];
  state.job_hash = static_cast<uint64_t>(fields[5]);
  ASSIGN_OR_RETURN(const std::vector<std::string> model_file,
                   reader->ReadStrings("capstan/model_file"));
  if (model_file.size() == 1) state.model_file = model_file[0];
  return state;
}

StatusOr<RescueSet> FindRescueSet(FileSystem& fs, const std::string& folder, int64_t step,
                                  TrainMode mode, uint64_t job_hash) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, fs.List(folder));
  std::map<std::pair<int64_t, int>, int> counts;  // by step and servers
  for (const std::string& name : names) {
    const auto rescue = ParseIndexName(name);
    if (rescue && rescue->step > step) ++counts[{rescue->step, rescue->servers}];
  }
  if (counts.empty()) return NotFoundError("nothing newer than step {} is in {}", step, folder);
  std::vector<std::string> there;
  for (auto newest = counts.rbegin(); newest != counts.rend(); ++newest) {
    const auto& [found_step, servers] = newest->first;
    there.push_back(fmt::format("{} of {} parts of step {}", newest->second, servers, found_step));
    if (newest->second != servers) continue;
    RescueSet set{.step = found_step};
    for (int i = 0; i < servers; ++i) {
      const std::string prefix = RescuePrefix(folder, found_step, i, servers);
      ASSIGN_OR_RETURN(const RescueState state, ReadRescueState(fs, prefix));
      if (state.mode != TrainMode::kSync || mode != TrainMode::kSync) {
        return Error("parts of asynchronous training are of no one moment");
      }
      if (state.job_hash != job_hash) {
        return Error("{} is of another training: model or flags have changed", prefix);
      }
      if (state.base_step > step) {
        return Error("{} went on from a checkpoint of step {}, which is not here", prefix,
                     state.base_step);
      }
      RETURN_IF_ERROR(TensorBundleReader::Open(fs, prefix).status());
      set.parts.push_back(prefix);
    }
    return set;
  }
  return Error("{} are here", fmt::join(there, ", "));
}

void RemoveRescueStates(FileSystem& fs, const RescueSet& set) {
  for (const std::string& part : set.parts) RemoveTensorBundle(fs, StateOf(part)).IgnoreError();
}

}  // namespace capstan
