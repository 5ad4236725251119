#include "launch/task_storage.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

namespace capstan {
namespace {

using Json = nlohmann::json;

struct PathFlag {
  std::string_view name;
  bool is_written;
};
constexpr PathFlag kPathFlags[] = {
    {"checkpoint_path", true}, {"output_path", true},      {"model_path", true},
    {"train_files", false},    {"train_file", false},      {"validation_files", false},
    {"validate_files", false}, {"validation_file", false}, {"validate_file", false},
    {"model_file", false},     {"warm_start", false},
};

struct FlagPath {
  std::string flag, path;
  bool is_written = false;
};

// A mount of a task, from the file's volumes or from `pod`.
struct Mount {
  std::string path, source;
  bool outlives_task = false;
  bool is_host_path = false;
  bool read_only = false;
};

void AddPodMounts(const std::string& pod_json, std::vector<Mount>* mounts) {
  const Json pod = Json::parse(pod_json, nullptr, /*allow_exceptions=*/false);
  const auto list = [](const Json& map, const char* key) {
    return map.is_object() && map.contains(key) && map[key].is_array() ? map[key] : Json::array();
  };
  const auto text = [](const Json& map, const char* key) -> std::string {
    return map.is_object() && map.contains(key) && map[key].is_string()
               ? map[key].get<std::string>()
               : "";
  };
  if (!pod.is_object() || !pod.contains("spec")) return;
  const Json volumes = list(pod["spec"], "volumes");
  for (const Json& container : list(pod["spec"], "containers")) {
    const std::string name = text(container, "name");
    if (name != "task" && name != "tensorflow") continue;
    for (const Json& mount : list(container, "volumeMounts")) {
      for (const Json& volume : volumes) {
        if (text(volume, "name") != text(mount, "name")) continue;
        const bool goes = volume.contains("emptyDir") || volume.contains("ephemeral");
        mounts->push_back({.path = text(mount, "mountPath"),
                           .source = volume.dump() + text(mount, "subPath"),
                           .outlives_task = !goes,
                           .is_host_path = volume.contains("hostPath"),
                           .read_only = mount.contains("readOnly") && mount["readOnly"] == true});
      }
    }
  }
}

std::vector<Mount> MountsOf(const RoleSpec& role) {
  std::vector<Mount> mounts;
  for (const VolumeSpec& volume : role.program.volumes) {
    mounts.push_back({.path = volume.mount_path,
                      .source = fmt::format("{}:{}:{}:{}", static_cast<int>(volume.kind),
                                            volume.source, volume.folder, volume.sub_path),
                      .outlives_task = volume.outlives_task(),
                      .is_host_path = volume.kind == VolumeSpec::Kind::kHostPath,
                      .read_only = volume.read_only});
  }
  if (!role.program.pod.empty()) AddPodMounts(role.program.pod, &mounts);
  return mounts;
}

bool IsBeneath(const std::string& path, std::string folder) {
  while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
  return path == folder || path.starts_with(folder == "/" ? folder : folder + "/");
}

// The mount that holds `path`: the longest.
std::optional<Mount> MountOf(const RoleSpec& role, const std::string& path) {
  std::optional<Mount> best;
  for (const Mount& mount : MountsOf(role)) {
    if (mount.path.empty() || !IsBeneath(path, mount.path)) continue;
    if (!best.has_value() || mount.path.size() > best->path.size()) best = mount;
  }
  return best;
}

std::vector<FlagPath> PathsOf(const ProgramSpec& program) {
  const std::vector<std::string> words = WordsOf(program);
  std::vector<FlagPath> paths;
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with("--")) continue;
    const size_t equals = words[i].find('=');
    const std::string name = words[i].substr(2, equals == std::string::npos ? equals : equals - 2);
    const auto* flag = std::find_if(std::begin(kPathFlags), std::end(kPathFlags),
                                    [&](const PathFlag& f) { return f.name == name; });
    if (flag == std::end(kPathFlags)) continue;
    std::string value;
    if (equals != std::string::npos) {
      value = words[i].substr(equals + 1);
    } else if (i + 1 < words.size()) {
      value = words[++i];
    }
    for (size_t begin = 0; begin < value.size();) {
      const size_t comma = std::min(value.find(',', begin), value.size());
      const std::string path = value.substr(begin, comma - begin);
      if (!path.empty()) paths.push_back({name, path, flag->is_written});
      begin = comma + 1;
    }
  }
  return paths;
}

Status CheckObjectStores(const RoleSpec& role) {
  std::vector<std::string> words = WordsOf(role.program);
  for (const EnvVar& var : role.program.env) words.push_back(var.value);
  for (const std::string& word : words) {
    for (const char* scheme : {"s3://", "gs://", "hdfs://"}) {
      if (word.find(scheme) != std::string::npos) {
        return Error(
            "{}: '{}': capstan train reads and writes files, not {}; mount the data as a "
            "volume",
            NameOf(role.role), word, scheme);
      }
    }
  }
  return OkStatus();
}

std::string Absolute(const ProgramSpec& program, const std::string& path) {
  if (path.starts_with('/')) return path;
  const std::string& folder = program.working_dir;
  return folder.empty() ? "/" + path : folder + (folder.ends_with('/') ? "" : "/") + path;
}

// `path`, which tasks of `writer` write, as `role` sees it.
Status CheckWritten(const RoleSpec& role, const RoleSpec& writer, const FlagPath& flag,
                    std::vector<std::string>* warnings) {
  const std::string path = Absolute(writer.program, flag.path);
  const std::optional<Mount> mount = MountOf(role, path);
  const std::optional<Mount> other = MountOf(writer, path);
  const std::string what = fmt::format("{}: --{}={}", NameOf(role.role), flag.flag, flag.path);
  if (!mount.has_value() || !mount->outlives_task) {
    return Error(
        "{} lies {}, which goes with its pod: mount a volume there (claim or host_path), "
        "or allow_ephemeral for a trial",
        what, mount.has_value() ? "on an empty volume" : "in the container");
  }
  if (mount->read_only) return Error("{} lies on a read-only volume", what);
  if (other.has_value() && (other->source != mount->source || other->path != mount->path)) {
    return Error("{} lies on another volume than {}'s, who shares what is there", what,
                 NameOf(writer.role));
  }
  if (mount->is_host_path && role.role == writer.role) {
    warnings->push_back(fmt::format(
        "{} lies in a folder of the machine that the task runs on: right only where all tasks run "
        "on one",
        what));
  }
  return OkStatus();
}

}  // namespace

std::vector<std::string> WordsOf(const ProgramSpec& program) {
  std::vector<std::string> words = program.command;
  words.insert(words.end(), program.args.begin(), program.args.end());
  return words;
}

bool IsCapstanTrain(const ProgramSpec& program) {
  const std::vector<std::string> words = WordsOf(program);
  if (program.command.empty() || words.size() < 2 || words[1] != "train") return false;
  return words[0].substr(words[0].rfind('/') + 1) == "capstan";
}

Status CheckStorage(const JobSpec& job, std::vector<std::string>* warnings) {
  for (const RoleSpec& role : job.roles) {
    if (!IsCapstanTrain(role.program)) continue;
    RETURN_IF_ERROR(CheckObjectStores(role));
  }
  const RoleSpec* leader = job.Find(job.leading_role());
  if (job.allow_ephemeral || leader == nullptr || !IsCapstanTrain(leader->program)) {
    return OkStatus();
  }
  for (const FlagPath& flag : PathsOf(leader->program)) {
    if (flag.is_written) {
      RETURN_IF_ERROR(CheckWritten(*leader, *leader, flag, warnings));
      // Servers write their parts of a checkpoint, the evaluator reads it.
      for (const JobRole other : {JobRole::kPs, JobRole::kEvaluator}) {
        const RoleSpec* role = job.Find(other);
        if (flag.flag != "checkpoint_path" || role == nullptr) continue;
        RETURN_IF_ERROR(CheckWritten(*role, *leader, flag, warnings));
      }
      continue;
    }
    const std::optional<Mount> mount = MountOf(*leader, Absolute(leader->program, flag.path));
    if (mount.has_value() && !mount->outlives_task &&
        mount->source.starts_with(fmt::format("{}:", static_cast<int>(VolumeSpec::Kind::kEmpty)))) {
      return Error("{}: --{}={} lies on an empty volume: there is no data", NameOf(leader->role),
                   flag.flag, flag.path);
    }
  }
  return OkStatus();
}

}  // namespace capstan
