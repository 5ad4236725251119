#include "net/field_loss.h"

#include <nlohmann/json.hpp>

namespace capstan {
namespace {

using Json = nlohmann::json;

bool IsEmpty(const Json& value) {
  if (value.is_null() || value == false) return true;
  if (value.is_number()) return value == 0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_structured() && value.empty();
}

std::string NameOf(const Json& item) {
  const auto found = item.is_object() ? item.find("name") : item.end();
  return item.is_object() && found != item.end() && found->is_string() ? found->get<std::string>()
                                                                       : "";
}

void Compare(const Json& sent, const Json& returned, const std::string& path,
             std::vector<std::string>* lost);

void CompareLists(const Json& sent, const Json& returned, const std::string& path,
                  std::vector<std::string>* lost) {
  for (size_t i = 0; i < sent.size(); ++i) {
    const std::string name = NameOf(sent[i]);
    const std::string place = fmt::format("{}[{}]", path, name.empty() ? std::to_string(i) : name);
    const Json* other = nullptr;
    for (size_t j = 0; j < returned.size() && !name.empty() && other == nullptr; ++j) {
      if (NameOf(returned[j]) == name) other = &returned[j];
    }
    if (name.empty() && i < returned.size()) other = &returned[i];
    if (other == nullptr) {
      lost->push_back(place);
    } else {
      Compare(sent[i], *other, place, lost);
    }
  }
}

void Compare(const Json& sent, const Json& returned, const std::string& path,
             std::vector<std::string>* lost) {
  if (sent.is_array() && returned.is_array()) CompareLists(sent, returned, path, lost);
  if (!sent.is_object() || !returned.is_object()) return;
  for (const auto& [key, value] : sent.items()) {
    const std::string place = path.empty() ? key : path + "." + key;
    const auto found = returned.find(key);
    if (found != returned.end()) {
      Compare(value, *found, place, lost);
    } else if (!IsEmpty(value) && place != "stringData") {  // the server keeps it as `data`
      lost->push_back(place);
    }
  }
}

struct Since {
  const char* end_of_path;
  const char* version;
};
constexpr Since kSince[] = {
    {"spec.completionMode", "1.24"},
    {"spec.suspend", "1.24"},
    {"spec.podFailurePolicy", "1.31"},
    {"spec.backoffLimitPerIndex", "1.33"},
    {"spec.maxFailedIndexes", "1.33"},
    {"spec.successPolicy", "1.33"},
    {"spec.podReplacementPolicy", "1.34"},
    {"spec.managedBy", "1.35"},
    {"spec.ttlSecondsAfterFinished", "1.23"},
    {"spec.schedulingGates", "1.30"},
    {"spec.schedulingGroup", "1.36 with the gate GenericWorkload"},
    {"spec.unhealthyPodEvictionPolicy", "1.31"},
    {"restartPolicyRules", "1.35"},
    {"restartPolicy", "1.33 (sidecars)"},
    {".grpc", "1.27"},
    {"preStop.sleep", "1.34"},
    {".nodeInclusionPolicy", "1.33"},
    {".minDomains", "1.30"},
};

}  // namespace

StatusOr<std::vector<std::string>> LostFields(const std::string& sent,
                                              const std::string& returned) {
  const Json sent_json = Json::parse(sent, nullptr, false);
  const Json returned_json = Json::parse(returned, nullptr, false);
  if (!sent_json.is_object() || !returned_json.is_object()) {
    return Error("what was sent or what came back is no JSON object");
  }
  std::vector<std::string> lost;
  Compare(sent_json, returned_json, "", &lost);
  return lost;
}

std::string VersionOfField(const std::string& path) {
  for (const Since& since : kSince) {
    if (path.ends_with(since.end_of_path)) return std::string("Kubernetes ") + since.version;
  }
  return "";
}

}  // namespace capstan
