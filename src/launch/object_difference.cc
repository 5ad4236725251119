#include <nlohmann/json.hpp>

#include "launch/kubernetes_submit.h"
#include "launch/quantity.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

bool SameQuantity(const Json& a, const Json& b) {
  if (!a.is_string() || !b.is_string()) return false;
  const auto x = ParseQuantity(a.get<std::string>()), y = ParseQuantity(b.get<std::string>());
  return x.ok() && y.ok() && *x == *y;
}

std::string Shown(const Json& value) {
  std::string text = value.dump();
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

// The place of an item in lists of both sides: by name where items have one.
const Json* Partner(const Json& item, size_t index, const Json& list) {
  const bool named = item.is_object() && item.contains("name");
  for (size_t i = 0; named && i < list.size(); ++i) {
    if (list[i].is_object() && list[i].value("name", Json()) == item["name"]) return &list[i];
  }
  return !named && index < list.size() ? &list[index] : nullptr;
}

void Compare(const Json& wanted, const Json& found, const std::string& path,
             std::vector<std::string>* differences) {
  if (wanted.is_object() && found.is_object()) {
    for (const auto& [key, value] : wanted.items()) {
      const std::string place = path.empty() ? key : path + "." + key;
      // Ours to change while the job lives, or the outline itself.
      if (place == "spec.suspend" || place == "metadata.annotations") continue;
      const auto other = found.find(key);
      if (other != found.end()) {
        Compare(value, *other, place, differences);
      } else {
        differences->push_back(
            fmt::format("{} is not set, the job file gives {}", place, Shown(value)));
      }
    }
    return;
  }
  if (wanted.is_array() && found.is_array()) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const std::string name =
          wanted[i].is_object() && wanted[i].contains("name") && wanted[i]["name"].is_string()
              ? wanted[i]["name"].get<std::string>()
              : std::to_string(i);
      const std::string place = fmt::format("{}[{}]", path, name);
      const Json* partner = Partner(wanted[i], i, found);
      if (partner != nullptr) {
        Compare(wanted[i], *partner, place, differences);
      } else {
        differences->push_back(fmt::format("{} is not there", place));
      }
    }
    if (found.size() > wanted.size()) {
      differences->push_back(fmt::format("{} has {} entries, the job file gives {}", path,
                                         found.size(), wanted.size()));
    }
    return;
  }
  if (wanted == found || SameQuantity(wanted, found)) return;
  differences->push_back(
      fmt::format("{} is {}, the job file gives {}", path, Shown(found), Shown(wanted)));
}

}  // namespace

std::string DifferenceOf(const std::string& wanted, const std::string& found, size_t limit) {
  std::vector<std::string> differences;
  Compare(Json::parse(wanted, nullptr, false), Json::parse(found, nullptr, false), "",
          &differences);
  const size_t more = differences.size() > limit ? differences.size() - limit : 0;
  differences.resize(differences.size() - more);
  std::string text = fmt::format("{}", fmt::join(differences, "; "));
  if (more > 0) text += fmt::format("; and {} more", more);
  return text;
}

}  // namespace capstan
