// Fields of JSON from outside, which may be absent or of any type: then they are nothing. For .cc
// files only.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "net/rfc3339.h"

namespace capstan {

// null if there is none.
inline const nlohmann::json& At(const nlohmann::json& object, const char* key) {
  static const nlohmann::json& nothing = *new nlohmann::json();
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

// "" if it is no text.
inline std::string TextAt(const nlohmann::json& object, const char* key) {
  const nlohmann::json& value = At(object, key);
  return value.is_string() ? value.get<std::string>() : "";
}

// Seconds since 1970; 0 if it is no time.
inline double TimeAt(const nlohmann::json& object, const char* key) {
  return ParseRfc3339(TextAt(object, key)).value_or(0);
}

}  // namespace capstan
