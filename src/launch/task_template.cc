#include "launch/task_template.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

Status WrongType(const std::string& path, const Json& value, const char* wanted) {
  return Error("{} is {}, wanted {}", path, value.dump(), wanted);
}

// Moves `map[key]` into a variable of its type; absent and null leave it alone.
Status Take(Json* map, const char* key, const std::string& path, std::string* value) {
  const auto found = map->find(key);
  if (found == map->end()) return OkStatus();
  if (!found->is_null() && !found->is_string()) return WrongType(path + "." + key, *found, "text");
  if (found->is_string()) *value = found->get<std::string>();
  map->erase(found);
  return OkStatus();
}

Status Take(Json* map, const char* key, const std::string& path, std::vector<std::string>* values) {
  const auto found = map->find(key);
  if (found == map->end()) return OkStatus();
  const bool good = found->is_null() ||
                    (found->is_array() && std::all_of(found->begin(), found->end(),
                                                      [](const Json& v) { return v.is_string(); }));
  if (!good) return WrongType(path + "." + key, *found, "a list of text");
  if (found->is_array()) *values = found->get<std::vector<std::string>>();
  map->erase(found);
  return OkStatus();
}

// The list under `key`, made sure to be one of maps; null if absent.
StatusOr<Json*> ListOfMaps(Json* map, const char* key, const std::string& path) {
  const auto found = map->find(key);
  if (found == map->end() || found->is_null()) return nullptr;
  const bool good = found->is_array() && std::all_of(found->begin(), found->end(),
                                                     [](const Json& v) { return v.is_object(); });
  if (!good) return WrongType(path + "." + key, *found, "a list of maps");
  return &*found;
}

std::string NameIn(const Json& map) {
  const auto name = map.find("name");
  return name != map.end() && name->is_string() ? name->get<std::string>() : "";
}

// A quantity: text, or a number without quotes.
StatusOr<std::string> QuantityText(const Json& value, const std::string& path) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number()) return value.dump();
  return WrongType(path, value, "a quantity");
}

Status TakeEnv(Json* container, const std::string& path, std::vector<EnvVar>* env) {
  ASSIGN_OR_RETURN(Json * list, ListOfMaps(container, "env", path));
  if (list == nullptr) return OkStatus();
  for (const Json& entry : *list) {
    EnvVar var{.name = NameIn(entry)};
    const std::string here = fmt::format("{}.env[{}]", path, var.name);
    if (var.name.empty()) return Error("{}: a variable without a name", here);
    const auto value = entry.find("value");
    if (value != entry.end() && !value->is_null()) {
      if (!value->is_string()) return WrongType(here + ".value", *value, "text (in quotes)");
      var.value = value->get<std::string>();
    }
    if (const auto from = entry.find("valueFrom"); from != entry.end() && !from->is_null()) {
      var.value_from = from->dump();
    }
    env->push_back(std::move(var));
  }
  container->erase("env");
  return OkStatus();
}

bool IsGpu(const std::string& resource) {
  return resource.ends_with("/gpu") || resource.find("/mig-") != std::string::npos;
}

Status TakeResources(Json* container, const std::string& path, ResourceSpec* resources) {
  const auto found = container->find("resources");
  if (found == container->end() || found->is_null()) return OkStatus();
  if (!found->is_object()) return WrongType(path + ".resources", *found, "a map");
  for (const char* side : {"requests", "limits"}) {
    const auto amounts = found->find(side);
    if (amounts == found->end() || amounts->is_null()) continue;
    const std::string here = fmt::format("{}.resources.{}", path, side);
    if (!amounts->is_object()) return WrongType(here, *amounts, "a map");
    const bool is_limit = std::string_view(side) == "limits";
    Json rest = Json::object();
    for (const auto& [name, amount] : amounts->items()) {
      ASSIGN_OR_RETURN(const std::string text, QuantityText(amount, here + "." + name));
      if (name == "cpu") {
        (is_limit ? resources->cpu_limit : resources->cpu) = text;
      } else if (name == "memory") {
        (is_limit ? resources->memory_limit : resources->memory) = text;
      } else if (IsGpu(name) && (resources->gpus == 0 || resources->gpu_resource == name)) {
        const bool whole = !text.empty() && text.size() < 5 &&
                           text.find_first_not_of("0123456789") == std::string::npos;
        if (!whole) return Error("{}.{} is '{}', wanted a whole number of GPUs", here, name, text);
        resources->gpus = std::stoi(text);
        resources->gpu_resource = name;
      } else {
        rest[name] = amount;
      }
    }
    *amounts = std::move(rest);
    if (amounts->empty()) found->erase(side);
  }
  if (found->empty()) container->erase("resources");
  return OkStatus();
}

Status TakePort(Json* container, const std::string& path, const std::string& port_name, int* port) {
  ASSIGN_OR_RETURN(Json * list, ListOfMaps(container, "ports", path));
  if (list == nullptr) return OkStatus();
  for (auto entry = list->begin(); entry != list->end(); ++entry) {
    if (NameIn(*entry) != port_name) continue;
    const auto number = entry->find("containerPort");
    if (number == entry->end() || !number->is_number_integer() || *number < 1 || *number > 65'535) {
      return Error("{}.ports[{}].containerPort is missing or no port", path, port_name);
    }
    *port = number->get<int>();
    list->erase(entry);
    break;
  }
  if (list->empty()) container->erase("ports");
  return OkStatus();
}

// A volume of the pod in our terms; false if it says more than these can.
bool FromPodVolume(const Json& volume, VolumeSpec* spec) {
  using Kind = VolumeSpec::Kind;
  const auto text = [&](const char* source, const char* field) -> std::string {
    const auto found = volume.find(source);
    if (found == volume.end() || !found->is_object()) return "";
    return found->contains(field) && (*found)[field].is_string()
               ? (*found)[field].get<std::string>()
               : "";
  };
  spec->source = text("persistentVolumeClaim", "claimName");
  if (!spec->source.empty()) spec->kind = Kind::kClaim;
  if (spec->source.empty() && !(spec->source = text("hostPath", "path")).empty()) {
    spec->kind = Kind::kHostPath;
  }
  if (volume.contains("emptyDir")) spec->kind = Kind::kEmpty;
  return spec->kind != Kind::kNone;
}

// Takes the mounts whose volumes are claims, folders of hosts or empty; the volumes stay in the
// pod, where other containers may mount them too, and what they say more is kept.
Status TakeVolumes(const Json* volumes, Json* container, const std::string& path,
                   std::vector<VolumeSpec>* specs) {
  ASSIGN_OR_RETURN(Json * mounts, ListOfMaps(container, "volumeMounts", path));
  if (mounts == nullptr || volumes == nullptr) return OkStatus();
  static const std::set<std::string> kSimple = {"name", "mountPath", "readOnly", "subPath"};
  Json rest = Json::array();
  for (Json& mount : *mounts) {
    const auto volume = std::find_if(volumes->begin(), volumes->end(),
                                     [&](const Json& v) { return NameIn(v) == NameIn(mount); });
    VolumeSpec spec{.name = NameIn(mount)};
    bool simple = volume != volumes->end() && FromPodVolume(*volume, &spec);
    for (const auto& [key, value] : mount.items()) simple &= kSimple.contains(key);
    Json left = mount;
    if (simple) {
      RETURN_IF_ERROR(Take(&left, "mountPath", path + ".volumeMounts", &spec.mount_path));
      RETURN_IF_ERROR(Take(&left, "subPath", path + ".volumeMounts", &spec.sub_path));
      spec.read_only = left.contains("readOnly") && left["readOnly"] == true;
      specs->push_back(std::move(spec));
    } else {
      rest.push_back(std::move(left));
    }
  }
  *mounts = std::move(rest);
  if (mounts->empty()) container->erase("volumeMounts");
  return OkStatus();
}

Status TakeContainer(const Json* volumes, Json* container, const std::string& path,
                     const std::string& port_name, RoleSpec* role) {
  ProgramSpec& program = role->program;
  RETURN_IF_ERROR(Take(container, "image", path, &program.image));
  RETURN_IF_ERROR(Take(container, "command", path, &program.command));
  RETURN_IF_ERROR(Take(container, "args", path, &program.args));
  RETURN_IF_ERROR(Take(container, "workingDir", path, &program.working_dir));
  RETURN_IF_ERROR(TakeEnv(container, path, &program.env));
  RETURN_IF_ERROR(TakeResources(container, path, &program.resources));
  RETURN_IF_ERROR(TakePort(container, path, port_name, &role->port));
  return TakeVolumes(volumes, container, path, &program.volumes);
}

Status TakeFrom(Json* pod, const std::string& container_name, const std::string& port_name,
                RoleSpec* role) {
  if (!pod->is_object()) return Error("template is missing, wanted a PodTemplateSpec");
  for (const auto& [key, value] : pod->items()) {
    if (key != "metadata" && key != "spec") return Error("template.{} is unknown", key);
  }
  const auto spec = pod->find("spec");
  if (spec == pod->end() || !spec->is_object()) return Error("template.spec is missing");
  spec->erase("restartPolicy");
  if (const auto grace = spec->find("terminationGracePeriodSeconds");
      grace != spec->end() && grace->is_number_integer()) {
    role->stop_timeout_s = grace->get<int64_t>();
    spec->erase(grace);
  }
  // Pointers into the map come last: taking a field out of it moves the others.
  ASSIGN_OR_RETURN(Json * containers, ListOfMaps(&*spec, "containers", "template.spec"));
  ASSIGN_OR_RETURN(const Json* volumes, ListOfMaps(&*spec, "volumes", "template.spec"));
  if (containers != nullptr) {
    for (Json& container : *containers) {
      if (NameIn(container) != container_name) continue;
      return TakeContainer(volumes, &container,
                           fmt::format("template.spec.containers[{}]", container_name), port_name,
                           role);
    }
  }
  return Error("template.spec.containers has none called {}, which is the task", container_name);
}

}  // namespace

Status TakeTaskTemplate(const std::string& template_json, const std::string& container,
                        const std::string& port_name, RoleSpec* role) {
  Json pod = Json::parse(template_json, nullptr, /*allow_exceptions=*/false);
  RETURN_IF_ERROR(TakeFrom(&pod, container, port_name, role));
  role->program.pod = pod.dump();
  return OkStatus();
}

}  // namespace capstan
