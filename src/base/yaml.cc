#include "base/yaml.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>

#include "base/nearest.h"

namespace capstan {

struct YamlNode::Rep {
  YAML::Node node;
  std::string name;
};

namespace {

std::string PlaceOf(const std::string& name, const YAML::Mark& mark) {
  if (mark.is_null()) return name;
  return fmt::format("{}:{}:{}", name, mark.line + 1, mark.column + 1);
}

// Runs a yaml-cpp conversion; its exceptions end here.
template <typename T>
bool Convert(const YAML::Node& node, T* value) {
  try {
    *value = node.as<T>();
    return true;
  } catch (const YAML::Exception&) {
    return false;
  }
}

}  // namespace

YamlNode::YamlNode() = default;
YamlNode::~YamlNode() = default;
YamlNode::YamlNode(const YamlNode&) = default;
YamlNode& YamlNode::operator=(const YamlNode&) = default;

StatusOr<YamlNode> YamlNode::Parse(const std::string& text, const std::string& name) {
  auto rep = std::make_shared<Rep>();
  rep->name = name;
  try {
    rep->node = YAML::Load(text);
  } catch (const YAML::Exception& e) {
    return Error("{}: {}", PlaceOf(name, e.mark), e.msg);
  }
  YamlNode node;
  node.rep_ = std::move(rep);
  return node;
}

bool YamlNode::exists() const {
  return rep_ != nullptr && rep_->node.IsDefined() && !rep_->node.IsNull();
}
bool YamlNode::is_map() const { return exists() && rep_->node.IsMap(); }
bool YamlNode::is_list() const { return exists() && rep_->node.IsSequence(); }
bool YamlNode::is_scalar() const { return exists() && rep_->node.IsScalar(); }
bool YamlNode::is_quoted() const {
  // yaml-cpp's tags: "?" of plain scalars, "!" of quoted ones.
  if (!is_scalar()) return false;
  const std::string& tag = rep_->node.Tag();
  return tag == "!" || tag == "tag:yaml.org,2002:str";
}

std::string YamlNode::place() const {
  if (rep_ == nullptr) return "";
  // A node that is not there has no mark, and throws when it is asked for one.
  return rep_->node.IsDefined() ? PlaceOf(rep_->name, rep_->node.Mark()) : rep_->name;
}

std::vector<YamlNode> YamlNode::elements() const {
  std::vector<YamlNode> elements;
  if (!is_list()) return elements;
  for (const YAML::Node& child : rep_->node) {
    YamlNode element;
    element.rep_ = std::make_shared<Rep>(Rep{child, rep_->name});
    elements.push_back(element);
  }
  return elements;
}

std::vector<std::string> YamlNode::keys() const {
  std::vector<std::string> keys;
  if (!is_map()) return keys;
  for (const auto& entry : rep_->node) {
    std::string key;
    if (Convert(entry.first, &key)) keys.push_back(key);
  }
  return keys;
}

YamlNode YamlNode::operator[](std::string_view key) const {
  YamlNode child;
  if (!is_map()) return child;
  const YAML::Node& map = rep_->node;
  child.rep_ = std::make_shared<Rep>(Rep{map[std::string(key)], rep_->name});
  return child;
}

Status YamlNode::CheckKeys(const std::vector<std::string>& known) const {
  if (!is_map()) return ErrorHere("found something else, wanted a map of keys and values");
  std::vector<std::string> seen;
  for (const auto& entry : rep_->node) {
    const std::string place = PlaceOf(rep_->name, entry.first.Mark());
    std::string key;
    if (!Convert(entry.first, &key)) return Error("{}: key is not a word", place);
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      return Error("{}: unknown key '{}'{}", place, key, NearestHint(key, known));
    }
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return Error("{}: key '{}' is given twice", place, key);
    }
    seen.push_back(key);
  }
  return OkStatus();
}

Status YamlNode::Get(std::string* value) const {
  if (!exists()) return OkStatus();
  if (!is_scalar()) return ErrorHere("found a list or map, wanted a word");
  *value = rep_->node.Scalar();
  return OkStatus();
}

Status YamlNode::Get(int64_t* value) const {
  if (!exists() || Convert(rep_->node, value)) return OkStatus();
  // 1e6 and 1_000_000 are how people write large counts.
  double number = 0;
  std::string text = is_scalar() ? rep_->node.Scalar() : "";
  text.erase(std::remove(text.begin(), text.end(), '_'), text.end());
  if (is_scalar() && Convert(YAML::Node(text), &number) && number == std::floor(number) &&
      std::abs(number) < 9e15) {
    *value = static_cast<int64_t>(number);
    return OkStatus();
  }
  return ErrorHere(fmt::format("found '{}', wanted a whole number",
                               is_scalar() ? rep_->node.Scalar() : "a list or map"));
}

Status YamlNode::Get(int* value) const {
  int64_t wide = *value;
  RETURN_IF_ERROR(Get(&wide));
  if (wide < INT32_MIN || wide > INT32_MAX) return ErrorHere(fmt::format("{} is too large", wide));
  *value = static_cast<int>(wide);
  return OkStatus();
}

Status YamlNode::Get(double* value) const {
  if (!exists()) return OkStatus();
  if (!is_scalar() || !Convert(rep_->node, value)) {
    return ErrorHere(fmt::format("found '{}', wanted a number",
                                 is_scalar() ? rep_->node.Scalar() : "a list or map"));
  }
  return OkStatus();
}

Status YamlNode::Get(float* value) const {
  double wide = *value;
  RETURN_IF_ERROR(Get(&wide));
  *value = static_cast<float>(wide);
  return OkStatus();
}

Status YamlNode::Get(bool* value) const {
  if (!exists()) return OkStatus();
  if (!is_scalar() || !Convert(rep_->node, value)) {
    return ErrorHere(fmt::format("found '{}', wanted true or false",
                                 is_scalar() ? rep_->node.Scalar() : "a list or map"));
  }
  return OkStatus();
}

namespace {
template <typename T>
Status GetList(const YamlNode& node, std::vector<T>* values) {
  if (!node.exists()) return OkStatus();
  if (!node.is_list()) return node.ErrorHere("found something else, wanted a list [a, b, …]");
  values->clear();
  for (const YamlNode& element : node.elements()) {
    T value{};
    RETURN_IF_ERROR(element.Get(&value));
    values->push_back(value);
  }
  return OkStatus();
}
}  // namespace

Status YamlNode::Get(std::vector<int>* value) const { return GetList(*this, value); }
Status YamlNode::Get(std::vector<float>* value) const { return GetList(*this, value); }
Status YamlNode::Get(std::vector<std::string>* value) const { return GetList(*this, value); }

Status YamlNode::ErrorHere(const std::string& message) const {
  return Error("{}: {}", place(), message);
}

}  // namespace capstan
