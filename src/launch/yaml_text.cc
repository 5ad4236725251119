#include "launch/yaml_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

// Whether a plain scalar would be read as this very text, by YAML 1.1 and 1.2. Doubt means quotes.
bool IsPlain(const std::string& text) {
  if (text.empty() || text.size() > 100'000) return false;
  const bool safe = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("-_./=+,()$@:*").find(static_cast<char>(c)) != std::string_view::npos;
  });
  const unsigned char first = static_cast<unsigned char>(text[0]);
  if (!safe || text.ends_with(':') ||
      (std::isalpha(first) == 0 && first != '/' && !text.starts_with("--")))
    return false;
  std::string lower = text;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char* word :
       {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}) {
    if (lower == word) return false;
  }
  return true;
}

std::string Scalar(const Json& value) {
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  if (IsPlain(text)) return text;
  // JSON in a string reads best as it is.
  const bool fits_single = std::all_of(
      text.begin(), text.end(), [](unsigned char c) { return c >= 0x20 && c < 0x7f && c != '\''; });
  if (fits_single && text.find('"') != std::string::npos) return "'" + text + "'";
  // JSON's strings are YAML's double-quoted ones.
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool IsNumbers(const Json& value) {
  return value.is_array() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_number(); });
}

bool IsInline(const Json& value) {
  return !value.is_structured() || value.empty() || IsNumbers(value);
}

std::string Inline(const Json& value) {
  if (value.is_object()) return "{}";
  if (!value.is_array()) return Scalar(value);
  std::string text;
  for (const Json& element : value) text += (text.empty() ? "" : ", ") + element.dump();
  return "[" + text + "]";
}

void Write(const Json& value, size_t indent, std::string* text) {
  const std::string blanks(indent, ' ');
  if (IsInline(value)) {
    *text += blanks + Inline(value) + "\n";
    return;
  }
  if (value.is_array()) {
    for (const Json& element : value) {
      const size_t begin = text->size();
      Write(element, indent + 2, text);
      (*text)[begin + indent] = '-';
    }
    return;
  }
  for (const auto& [key, child] : value.items()) {
    *text += blanks + Scalar(Json(key)) + ":";
    if (IsInline(child)) {
      *text += " " + Inline(child) + "\n";
      continue;
    }
    *text += "\n";
    Write(child, child.is_array() ? indent : indent + 2, text);
  }
}

}  // namespace

std::string YamlOfJson(const std::string& json) {
  const Json value = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  std::string text;
  if (!value.is_discarded()) Write(value, 0, &text);
  return text;
}

}  // namespace capstan
