#include "net/api_discovery.h"
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

// The list at `key`, or an empty one.
const Json& ListAt(const Json& object, const char* key) {
  static const Json& empty = *new Json(Json::array());
  const auto found = object.find(key);
  return found != object.end() && found->is_array() ? *found : empty;
}

}  // namespace

std::string ApiPath(const std::string& api_version) {
  return (api_version.find('/') == std::string::npos ? "/api/" : "/apis/") + api_version;
}

std::string ApiResource::group() const {
  const size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

std::string ApiResource::Path(const std::string& namespace_name, const std::string& name) const {
  std::string path = ApiPath(api_version);
  if (namespaced && !namespace_name.empty()) path += "/namespaces/" + namespace_name;
  path += "/" + plural;
  return name.empty() ? path : path + "/" + name;
}

StatusOr<bool> ApiResources::AddAggregated(const std::string& json) {
  const Json list = Json::parse(json, nullptr, false);
  if (!list.is_object()) return Error("the server's list of API groups is no JSON object");
  if (TextAt(list, "kind") != "APIGroupDiscoveryList") return false;
  for (const Json& group : ListAt(list, "items")) {
    const std::string name =
        group.contains("metadata") ? TextAt(group["metadata"], "name") : std::string();
    for (const Json& version : ListAt(group, "versions")) {
      const std::string text = TextAt(version, "version");
      const std::string api_version = name.empty() ? text : name + "/" + text;
      // Behind an aggregated API that is down: asked for again when somebody needs it.
      if (TextAt(version, "freshness") != "Stale") known_.insert(api_version);
      for (const Json& resource : ListAt(version, "resources")) {
        const Json kind = resource.value("responseKind", Json::object());
        ApiResource entry{.api_version = api_version,
                          .kind = TextAt(kind, "kind"),
                          .plural = TextAt(resource, "resource"),
                          .namespaced = TextAt(resource, "scope") == "Namespaced"};
        resources_.insert({{api_version, entry.kind}, entry});
      }
    }
  }
  return true;
}

Status ApiResources::AddGroupVersion(const std::string& api_version, const std::string& json) {
  known_.insert(api_version);
  if (json.empty()) return OkStatus();
  const Json list = Json::parse(json, nullptr, false);
  if (!list.is_object()) return Error("the server's list of {} is no JSON object", api_version);
  for (const Json& resource : ListAt(list, "resources")) {
    ApiResource entry{.api_version = api_version,
                      .kind = TextAt(resource, "kind"),
                      .plural = TextAt(resource, "name"),
                      .namespaced = resource.value("namespaced", Json(true)) == true};
    // "jobs/status" and such are parts of other resources.
    if (entry.plural.find('/') != std::string::npos) continue;
    resources_.insert({{api_version, entry.kind}, entry});
  }
  return OkStatus();
}

const ApiResource* ApiResources::Find(const std::string& api_version,
                                      const std::string& kind) const {
  const auto found = resources_.find({api_version, kind});
  return found == resources_.end() ? nullptr : &found->second;
}

}  // namespace capstan
