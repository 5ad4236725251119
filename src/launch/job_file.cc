#include "launch/job_file.h"

#include <algorithm>
#include <cctype>

#include "base/nearest.h"
#include "launch/job_file_keys.h"
#include "launch/tfjob.h"

namespace capstan {
namespace {

constexpr uint64_t kMaxFileBytes = 4 << 20;

// How many bytes of `text`, from its begin, are UTF-8.
size_t Utf8Prefix(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto byte = [&](size_t i) -> unsigned {
      return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
    };
    const unsigned lead = byte(0);
    const size_t size = lead < 0x80   ? 1
                        : lead < 0xc2 ? 0
                        : lead < 0xe0 ? 2
                        : lead < 0xf0 ? 3
                        : lead < 0xf5 ? 4
                                      : 0;
    if (size == 0) return at;
    for (size_t i = 1; i < size; ++i) {
      if ((byte(i) & 0xc0) != 0x80) return at;
    }
    // Overlong forms, surrogates, and what is beyond U+10FFFF.
    if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
        (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f)) {
      return at;
    }
    at += size;
  }
  return at;
}

void TakeIfEmpty(std::string* value, const std::string& other) {
  if (value->empty()) *value = other;
}

void FillLimits(ResourceSpec* resources) {
  TakeIfEmpty(&resources->cpu_limit, resources->cpu);
  TakeIfEmpty(&resources->memory_limit, resources->memory);
}

// What a role leaves open is as the top of the file says.
void TakeDefaults(const ProgramSpec& top, ProgramSpec* role) {
  TakeIfEmpty(&role->image, top.image);
  if (role->command.empty()) role->command = top.command;
  TakeIfEmpty(&role->working_dir, top.working_dir);
  TakeIfEmpty(&role->pod, top.pod);
  if (role->resources.cpu.empty()) {
    role->resources.cpu = top.resources.cpu;
    TakeIfEmpty(&role->resources.cpu_limit, top.resources.cpu_limit);
  }
  if (role->resources.memory.empty()) {
    role->resources.memory = top.resources.memory;
    TakeIfEmpty(&role->resources.memory_limit, top.resources.memory_limit);
  }
  FillLimits(&role->resources);
  std::vector<EnvVar> env = top.env;
  for (const EnvVar& var : role->env) {
    std::erase_if(env, [&](const EnvVar& other) { return other.name == var.name; });
  }
  env.insert(env.end(), role->env.begin(), role->env.end());
  role->env = std::move(env);
  std::vector<VolumeSpec> volumes = top.volumes;
  for (const VolumeSpec& volume : role->volumes) {
    std::erase_if(volumes,
                  [&](const VolumeSpec& other) { return other.mount_path == volume.mount_path; });
  }
  volumes.insert(volumes.end(), role->volumes.begin(), role->volumes.end());
  role->volumes = std::move(volumes);
  if (role->ports.empty()) role->ports = top.ports;
  for (const auto& label : top.node_selector) role->node_selector.insert(label);
  role->tolerations.insert(role->tolerations.begin(), top.tolerations.begin(),
                           top.tolerations.end());
}

std::string NameFromSource(const VolumeSpec& volume) {
  std::string name;
  for (const char c : FileNameOf(volume.source.empty() ? volume.folder : volume.source)) {
    const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const bool fits = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
    if (fits) {
      name += lower;
    } else if (!name.empty() && !name.ends_with('-')) {
      name += '-';
    }
  }
  while (name.ends_with('-')) name.pop_back();
  if (volume.kind == VolumeSpec::Kind::kEmpty) return "empty";
  return name.empty() || name.size() > 40 ? "volume" : name;
}

void NameVolumes(std::vector<VolumeSpec>* volumes) {
  std::vector<std::string> taken;
  for (const VolumeSpec& volume : *volumes) taken.push_back(volume.name);
  for (VolumeSpec& volume : *volumes) {
    if (!volume.name.empty()) continue;
    const std::string base = NameFromSource(volume);
    std::string name = base;
    for (int i = 2; std::find(taken.begin(), taken.end(), name) != taken.end(); ++i) {
      name = fmt::format("{}-{}", base, i);
    }
    volume.name = name;
    taken.push_back(std::move(name));
  }
}

void AddRole(const JobFileKeys& file, JobRole role, const RoleKeys& keys, JobSpec* job) {
  if (!keys.given || keys.spec.replicas == 0) return;
  RoleSpec spec = keys.spec;
  spec.role = role;
  if (spec.port == 0) spec.port = file.port;
  if (!keys.retries_given) spec.failures = file.failures;
  TakeDefaults(file.program, &spec.program);
  NameVolumes(&spec.program.volumes);
  job->roles.push_back(std::move(spec));
}

Status CheckRoles(const YamlNode& file, const JobSpec& job) {
  const bool trains = job.Find(JobRole::kWorker) != nullptr || job.Find(JobRole::kChief) != nullptr;
  if (job.roles.empty() && !job.serve.has_value()) {
    return file.ErrorHere("names no task, wanted worker (and ps, chief, evaluator), or serve");
  }
  if (!job.roles.empty() && !trains) {
    return file.ErrorHere("names neither worker nor chief, one of which leads the job");
  }
  const RoleSpec* chief = job.Find(JobRole::kChief);
  if (chief != nullptr && chief->replicas > 1) {
    return file["chief"].ErrorHere(fmt::format("{} chiefs, wanted 1", chief->replicas));
  }
  if (chief != nullptr && job.done_when == DoneWhen::kAllWorkers) {
    return file["done_when"].ErrorHere("all_workers beside a chief, whose end is the job's end");
  }
  if (job.tensorboard.has_value() && job.tensorboard->log_dir.empty()) {
    return file["tensorboard"].ErrorHere("log_dir is missing");
  }
  return OkStatus();
}

}  // namespace

StatusOr<JobSpec> ParseJobFile(const YamlNode& file) {
  JobFileKeys keys;
  KeyMap map;
  DeclareJobFile(&map, &keys);
  RETURN_IF_ERROR(map.Read(file));
  JobSpec job = std::move(keys.job);
  if (job.name.empty()) return file.ErrorHere("name is missing");
  AddRole(keys, JobRole::kChief, keys.chief, &job);
  AddRole(keys, JobRole::kWorker, keys.worker, &job);
  AddRole(keys, JobRole::kPs, keys.ps, &job);
  AddRole(keys, JobRole::kEvaluator, keys.evaluator, &job);
  if (keys.serve_given) {
    job.serve = std::move(keys.serve);
    TakeIfEmpty(&job.serve->program.image, keys.program.image);
    TakeIfEmpty(&job.serve->model_name, job.name);
    FillLimits(&job.serve->program.resources);
    NameVolumes(&job.serve->program.volumes);
    if (job.serve->autoscale_max > 0 && job.serve->autoscale_max < job.serve->autoscale_min) {
      return file["serve"].ErrorHere("autoscale: max is below min");
    }
    if (job.serve->max_surge == 0 && job.serve->max_unavailable == 0) {
      return file["serve"].ErrorHere("max_surge and max_unavailable are both 0: no update can run");
    }
  }
  if (keys.tensorboard_given) job.tensorboard = std::move(keys.tensorboard);
  RETURN_IF_ERROR(CheckRoles(file, job));
  return job;
}

StatusOr<JobSpec> ParseJob(const std::string& text, const std::string& name) {
  // JSON, which all of it becomes, has no other text.
  if (const size_t good = Utf8Prefix(text); good < text.size()) {
    return Error("{}: byte {} is not UTF-8", name, good);
  }
  ASSIGN_OR_RETURN(const YamlNode file, YamlNode::Parse(text, name));
  if (!file.is_map()) return Error("{}: is no map of keys and values, wanted a job file", name);
  const YamlNode kind_node = file["kind"];
  const YamlNode version_node = file["apiVersion"];
  if (!kind_node.exists() && !version_node.exists()) return ParseJobFile(file);
  std::string kind, version;
  RETURN_IF_ERROR(kind_node.Get(&kind));
  RETURN_IF_ERROR(version_node.Get(&version));
  if (kind == "TFJob" && version == "kubeflow.org/v1") return ParseTfJob(file);
  return file.ErrorHere(
      fmt::format("a manifest of kind '{}', apiVersion '{}': wanted a job file, or kind TFJob of "
                  "kubeflow.org/v1",
                  kind, version));
}

StatusOr<JobSpec> ReadJob(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(fs, path, kMaxFileBytes));
  ASSIGN_OR_RETURN(JobSpec job, ParseJob(text, path));
  job.base_folder = FolderOf(path);
  return job;
}

}  // namespace capstan
