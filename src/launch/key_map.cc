#include "launch/key_map.h"

#include "base/nearest.h"
#include "launch/quantity.h"
#include "launch/shell_words.h"
#include "launch/yaml_json.h"

namespace capstan {
namespace {

// `status` at the place of `node`.
Status At(const YamlNode& node, const Status& status) {
  return status.ok() ? status : node.ErrorHere(Message(status));
}

Status CheckIsMap(const YamlNode& node) {
  if (!node.is_map())
    return node.ErrorHere("found something else, wanted a map of keys and values");
  return node.CheckKeys(node.keys());  // words, and none twice
}

// Words of a list; a number or truth value among them is meant as text.
Status ReadWords(const YamlNode& node, std::vector<std::string>* words) {
  if (node.is_list()) return node.Get(words);
  std::string line;
  RETURN_IF_ERROR(node.Get(&line));
  StatusOr<std::vector<std::string>> split = SplitShellWords(line);
  if (!split.ok()) return node.ErrorHere(Message(split.status()));
  if (split->empty()) return node.ErrorHere("a command without words");
  *words = *std::move(split);
  return OkStatus();
}

Status ReadNumber(const YamlNode& node, int least, int most, int* value) {
  RETURN_IF_ERROR(node.Get(value));
  if (*value < least || *value > most) {
    return node.ErrorHere(fmt::format("found {}, wanted {} to {}", *value, least, most));
  }
  return OkStatus();
}

Status ReadCodes(const YamlNode& node, std::vector<FailureRule>* rules) {
  RETURN_IF_ERROR(CheckIsMap(node));
  rules->clear();
  for (const std::string& key : node.keys()) {
    const YamlNode value = node[key];
    std::string word;
    RETURN_IF_ERROR(value.Get(&word));
    StatusOr<FailureRule> rule = ParseExitCodes(key);
    if (!rule.ok()) return At(value.exists() ? value : node, rule.status());
    const StatusOr<FailureAction> action = ParseFailureAction(word);
    if (!action.ok()) return At(value.exists() ? value : node, action.status());
    rule->action = *action;
    rules->push_back(*rule);
  }
  return OkStatus();
}

}  // namespace

void KeyMap::Text(const char* name, std::string* value, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kText,
       .default_text = *value,
       .sentence = sentence,
       .read = [value](const YamlNode& node) { return node.Get(value); }});
}

void KeyMap::Number(const char* name, int* value, int least, int most, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kNumber,
       .default_text = fmt::format("{}", *value),
       .sentence = sentence,
       .read = [=](const YamlNode& node) { return ReadNumber(node, least, most, value); }});
}

void KeyMap::Switch(const char* name, bool* value, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kSwitch,
       .default_text = *value ? "true" : "false",
       .sentence = sentence,
       .read = [value](const YamlNode& node) { return node.Get(value); }});
}

void KeyMap::Quantity(const char* name, std::string* value, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kQuantity,
       .default_text = *value,
       .sentence = sentence,
       .read = [value](const YamlNode& node) -> Status {
         RETURN_IF_ERROR(node.Get(value));
         return At(node, ParseQuantity(*value).status());
       }});
}

void KeyMap::Duration(const char* name, int64_t* seconds, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kDuration,
       .default_text = *seconds > 0 ? DurationText(*seconds) : "",
       .sentence = sentence,
       .read = [seconds](const YamlNode& node) -> Status {
         std::string text;
         RETURN_IF_ERROR(node.Get(&text));
         const StatusOr<int64_t> parsed = ParseDuration(text);
         if (parsed.ok()) *seconds = *parsed;
         return At(node, parsed.status());
       }});
}

void KeyMap::Command(const char* name, std::vector<std::string>* words, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kCommand,
       .sentence = sentence,
       .read = [words](const YamlNode& node) { return ReadWords(node, words); }});
}

void KeyMap::Env(const char* name, std::vector<EnvVar>* env, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kTextMap,
       .sentence = sentence,
       .read = [env](const YamlNode& node) -> Status {
         RETURN_IF_ERROR(CheckIsMap(node));
         for (const std::string& key : node.keys()) {
           EnvVar var{.name = key};
           RETURN_IF_ERROR(node[key].Get(&var.value));
           env->push_back(std::move(var));
         }
         return OkStatus();
       }});
}

void KeyMap::TextMap(const char* name, std::map<std::string, std::string>* map,
                     const char* sentence) {
  Add({.name = name,
       .type = KeyType::kTextMap,
       .sentence = sentence,
       .read = [map](const YamlNode& node) -> Status {
         RETURN_IF_ERROR(CheckIsMap(node));
         for (const std::string& key : node.keys()) {
           RETURN_IF_ERROR(node[key].Get(&(*map)[key]));
         }
         return OkStatus();
       }});
}

void KeyMap::NumberMap(const char* name, std::vector<std::pair<std::string, int>>* map, int least,
                       int most, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kNumberMap,
       .sentence = sentence,
       .read = [=](const YamlNode& node) -> Status {
         RETURN_IF_ERROR(CheckIsMap(node));
         for (const std::string& key : node.keys()) {
           int value = least;
           if (node[key].exists()) RETURN_IF_ERROR(ReadNumber(node[key], least, most, &value));
           map->emplace_back(key, value);
         }
         return OkStatus();
       }});
}

void KeyMap::Codes(const char* name, std::vector<FailureRule>* rules, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kCodes,
       .sentence = sentence,
       .read = [rules](const YamlNode& node) { return ReadCodes(node, rules); }});
}

void KeyMap::AnyMap(const char* name, std::string* json, const char* sentence) {
  Add({.name = name,
       .type = KeyType::kAnyMap,
       .sentence = sentence,
       .read = [json](const YamlNode& node) -> Status {
         RETURN_IF_ERROR(CheckIsMap(node));
         ASSIGN_OR_RETURN(*json, JsonOfYaml(node));
         return OkStatus();
       }});
}

KeyMap* KeyMap::Map(const char* name, bool* given, const char* sentence) {
  auto children = std::make_shared<KeyMap>();
  Add({.name = name,
       .type = KeyType::kMap,
       .sentence = sentence,
       .children = children,
       .read = [children, given](const YamlNode& node) {
         if (given != nullptr) *given = true;
         return children->Read(node);
       }});
  return children.get();
}

void KeyMap::AddWord(const char* name, std::string default_text, std::vector<std::string> words,
                     std::function<void(size_t)> set, const char* sentence) {
  auto read = [words, set](const YamlNode& node) -> Status {
    std::string text;
    RETURN_IF_ERROR(node.Get(&text));
    for (size_t i = 0; i < words.size(); ++i) {
      if (text == words[i]) {
        set(i);
        return OkStatus();
      }
    }
    return node.ErrorHere(fmt::format("unknown '{}', wanted one of {}{}", text,
                                      fmt::join(words, ", "), NearestHint(text, words)));
  };
  Add({.name = name,
       .type = KeyType::kWord,
       .default_text = std::move(default_text),
       .sentence = sentence,
       .words = words,
       .read = std::move(read)});
}

Status KeyMap::ReadList(const YamlNode& node,
                        const std::function<Status(const YamlNode&)>& read_element) {
  if (!node.is_list()) return node.ErrorHere("found something else, wanted a list");
  for (const YamlNode& element : node.elements()) {
    if (!element.exists()) return node.ErrorHere("an element of the list is empty");
    RETURN_IF_ERROR(read_element(element));
  }
  return OkStatus();
}

Status KeyMap::Read(const YamlNode& node) const {
  std::vector<std::string> known;
  for (const Key& key : keys_) known.push_back(key.name);
  RETURN_IF_ERROR(node.CheckKeys(known));
  for (const Key& key : keys_) {
    const YamlNode value = node[key.name];
    if (value.exists()) RETURN_IF_ERROR(key.read(value));
  }
  return OkStatus();
}

}  // namespace capstan
