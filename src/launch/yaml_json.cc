#include "launch/yaml_json.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

namespace capstan {
namespace {

using Json = nlohmann::ordered_json;

// Aliases can make a small file a huge tree.
constexpr int kMaxNodes = 100'000;
constexpr int kMaxDepth = 64;

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) {
    if (text == word) return true;
  }
  return false;
}

bool ParseWhole(std::string_view text, int64_t* value) {
  const bool negative = text.starts_with("-");
  if (negative || text.starts_with("+")) text.remove_prefix(1);
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0o") || text.starts_with("0b")) {
    base = text[1] == 'x' ? 16 : text[1] == 'o' ? 8 : 2;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text[0] == '0') {
    base = 8;
  }
  if (text.empty() || text[0] == '-') return false;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return false;
  if (negative) *value = -*value;
  return true;
}

bool ParseReal(std::string_view text, double* value) {
  if (text.find_first_of("0123456789") == std::string_view::npos) return false;
  if (text.find_first_not_of("0123456789+-.eE") != std::string_view::npos) return false;
  if (text.starts_with("+")) text.remove_prefix(1);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), *value);
  return result.ec == std::errc() && result.ptr == text.data() + text.size() &&
         std::isfinite(*value);
}

class Converter {
 public:
  StatusOr<Json> Convert(const YamlNode& node, int depth) {
    if (!node.exists()) return Json();
    if (++nodes_ > kMaxNodes) return node.ErrorHere("more than 100,000 values");
    if (depth > kMaxDepth) return node.ErrorHere("nested too deeply");
    if (node.is_scalar()) return Scalar(node);
    if (node.is_list()) {
      Json list = Json::array();
      for (const YamlNode& element : node.elements()) {
        ASSIGN_OR_RETURN(Json value, Convert(element, depth + 1));
        list.push_back(std::move(value));
      }
      return list;
    }
    const std::vector<std::string> keys = node.keys();
    RETURN_IF_ERROR(node.CheckKeys(keys));  // words, and none twice
    Json map = Json::object();
    for (const std::string& key : keys) {
      ASSIGN_OR_RETURN(Json value, Convert(node[key], depth + 1));
      map[key] = std::move(value);
    }
    return map;
  }

 private:
  static StatusOr<Json> Scalar(const YamlNode& node) {
    std::string text;
    RETURN_IF_ERROR(node.Get(&text));
    if (node.is_quoted()) return Json(text);
    if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) return Json();
    if (IsOneOf(text, {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"})) {
      return Json(true);
    }
    if (IsOneOf(text, {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"})) {
      return Json(false);
    }
    int64_t whole = 0;
    if (ParseWhole(text, &whole)) return Json(whole);
    double real = 0;
    if (ParseReal(text, &real)) return Json(real);
    return Json(text);
  }

  int nodes_ = 0;
};

}  // namespace

StatusOr<std::string> JsonOfYaml(const YamlNode& node) {
  Converter converter;
  ASSIGN_OR_RETURN(const Json json, converter.Convert(node, 0));
  try {
    return json.dump();
  } catch (const Json::exception&) {
    return node.ErrorHere("text that is not UTF-8");
  }
}

}  // namespace capstan
