#include "launch/program_template.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "launch/quantity.h"

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

Json EnvOf(const std::vector<EnvVar>& env) {
  Json list = Json::array();
  for (const EnvVar& var : env) {
    Json entry = {{"name", var.name}};
    if (var.value_from.empty()) {
      entry["value"] = var.value;
    } else {
      entry["valueFrom"] = Json::parse(var.value_from, nullptr, /*allow_exceptions=*/false);
    }
    list.push_back(std::move(entry));
  }
  return list;
}

Json ResourcesOf(const ResourceSpec& r) {
  Json requests = Json::object();
  Json limits = Json::object();
  if (!r.cpu.empty()) requests["cpu"] = r.cpu;
  if (!r.memory.empty()) requests["memory"] = r.memory;
  if (!r.cpu_limit.empty()) limits["cpu"] = r.cpu_limit;
  if (!r.memory_limit.empty()) limits["memory"] = r.memory_limit;
  if (r.gpus > 0) limits[r.gpu_resource] = std::to_string(r.gpus);
  Json resources = Json::object();
  if (!requests.empty()) resources["requests"] = requests;
  if (!limits.empty()) resources["limits"] = limits;
  return resources;
}

// By the labels of NVIDIA's feature discovery; nvidia.com/gpu.memory counts MiB.
Json AffinityOf(const ResourceSpec& r) {
  Json expressions = Json::array();
  if (!r.gpu_model.empty()) {
    expressions.push_back({{"key", "nvidia.com/gpu.product"},
                           {"operator", "In"},
                           {"values", Json::array({r.gpu_model})}});
  }
  if (!r.gpu_memory.empty()) {
    const auto least_mib =
        static_cast<int64_t>(std::ceil(ParseQuantity(r.gpu_memory).value_or(0) / 1048576.0));
    expressions.push_back({{"key", "nvidia.com/gpu.memory"},
                           {"operator", "Gt"},
                           {"values", Json::array({std::to_string(least_mib - 1)})}});
  }
  if (expressions.empty()) return Json();
  Json terms = Json::array();
  terms.push_back(Json{{"matchExpressions", expressions}});
  Json affinity;
  affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] =
      terms;
  return affinity;
}

Json VolumeOf(const VolumeSpec& v) {
  Json volume = {{"name", v.name}};
  switch (v.kind) {
    case VolumeSpec::Kind::kNone:
      break;
    case VolumeSpec::Kind::kClaim:
      volume["persistentVolumeClaim"]["claimName"] = v.source;
      break;
    case VolumeSpec::Kind::kHostPath:
      volume["hostPath"]["path"] = v.source;
      break;
    case VolumeSpec::Kind::kConfigMap:
      volume["configMap"]["name"] = v.source;
      break;
    case VolumeSpec::Kind::kSecret:
      volume["secret"]["secretName"] = v.source;
      break;
    case VolumeSpec::Kind::kEmpty:
      volume["emptyDir"] = Json::object();
      if (v.memory) volume["emptyDir"]["medium"] = "Memory";
      if (!v.size_limit.empty()) volume["emptyDir"]["sizeLimit"] = v.size_limit;
      break;
  }
  return volume;
}

Json MountOf(const VolumeSpec& v) {
  Json mount = {{"name", v.name}, {"mountPath", v.mount_path}};
  if (!v.sub_path.empty()) mount["subPath"] = v.sub_path;
  if (v.read_only) mount["readOnly"] = true;
  return mount;
}

Json TolerationOf(const Toleration& t) {
  Json toleration = Json::object();
  if (!t.key.empty()) toleration["key"] = t.key;
  if (!t.op.empty()) toleration["operator"] = t.op;
  if (!t.value.empty()) toleration["value"] = t.value;
  if (!t.effect.empty()) toleration["effect"] = t.effect;
  return toleration;
}

Json ContainerOf(const ProgramSpec& program, const std::string& name,
                 const std::string& image_pull_policy) {
  Json container = {{"name", name}, {"image", program.image}};
  if (!image_pull_policy.empty()) container["imagePullPolicy"] = image_pull_policy;
  if (!program.command.empty()) container["command"] = program.command;
  if (!program.args.empty()) container["args"] = program.args;
  if (!program.working_dir.empty()) container["workingDir"] = program.working_dir;
  for (const auto& [port_name, port] : program.ports) {
    container["ports"].push_back({{"name", port_name}, {"containerPort", port}});
  }
  if (!program.env.empty()) container["env"] = EnvOf(program.env);
  if (const Json resources = ResourcesOf(program.resources); !resources.empty()) {
    container["resources"] = resources;
  }
  for (const VolumeSpec& volume : program.volumes) {
    container["volumeMounts"].push_back(MountOf(volume));
  }
  return container;
}

}  // namespace

std::string ProgramPodSpec(const ProgramSpec& program, const std::string& container_name,
                           const std::string& image_pull_policy) {
  Json spec = Json::object();
  if (!program.node_selector.empty()) spec["nodeSelector"] = program.node_selector;
  if (const Json affinity = AffinityOf(program.resources); !affinity.is_null()) {
    spec["affinity"] = affinity;
  }
  for (const Toleration& toleration : program.tolerations) {
    spec["tolerations"].push_back(TolerationOf(toleration));
  }
  spec["containers"] = Json::array({ContainerOf(program, container_name, image_pull_policy)});
  Json volumes = Json::array();
  for (const VolumeSpec& volume : program.volumes) {
    // A volume may be mounted at several places.
    const bool known = std::any_of(volumes.begin(), volumes.end(),
                                   [&](const Json& v) { return v["name"] == volume.name; });
    if (!known) volumes.push_back(VolumeOf(volume));
  }
  if (!volumes.empty()) spec["volumes"] = volumes;
  return spec.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace capstan
