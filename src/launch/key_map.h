// The keys of one map of a job file, declared once: the parser, the JSON schema and the page of
// documentation come from here.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "base/yaml.h"
#include "launch/job_spec.h"

namespace capstan {

enum class KeyType {
  kText,
  kWord,    // one of Key::words
  kNumber,  // whole
  kSwitch,
  kQuantity,  // Kubernetes' "500m", "2Gi"
  kDuration,  // "90s"
  kCommand,   // list of words, or a line
  kTextMap,
  kNumberMap,
  kCodes,    // exit codes → action
  kAnyMap,   // passed on as it is
  kMap,      // Key::children
  kMapList,  // of maps of Key::children
};

class KeyMap {
 public:
  struct Key {
    std::string name;
    KeyType type = KeyType::kText;
    std::string default_text;  // "": none, or what the sentence says
    std::string sentence;
    std::vector<std::string> words;
    std::shared_ptr<KeyMap> children;
    std::function<Status(const YamlNode&)> read;  // only called on a node that exists
  };

  // Each binds a key to a place, which holds the default now and must live until Read is done.
  void Text(const char* name, std::string* value, const char* sentence);
  void Number(const char* name, int* value, int least, int most, const char* sentence);
  void Switch(const char* name, bool* value, const char* sentence);
  void Quantity(const char* name, std::string* value, const char* sentence);
  void Duration(const char* name, int64_t* seconds, const char* sentence);
  void Command(const char* name, std::vector<std::string>* words, const char* sentence);
  void Env(const char* name, std::vector<EnvVar>* env, const char* sentence);
  void TextMap(const char* name, std::map<std::string, std::string>* map, const char* sentence);
  void NumberMap(const char* name, std::vector<std::pair<std::string, int>>* map, int least,
                 int most, const char* sentence);
  void Codes(const char* name, std::vector<FailureRule>* rules, const char* sentence);
  // `json` receives the map as JSON text.
  void AnyMap(const char* name, std::string* json, const char* sentence);
  // A map of keys of its own, which the caller declares on the result; `given` (may be null) is set
  // when the file has it.
  KeyMap* Map(const char* name, bool* given, const char* sentence);

  template <typename T>
  void Word(const char* name, T* value, std::vector<std::pair<const char*, T>> words,
            const char* sentence);
  // `declare` binds the keys of one element; `take` checks what was read and keeps it.
  template <typename T>
  void List(const char* name, std::function<void(KeyMap*, T*)> declare,
            std::function<Status(const YamlNode&, T)> take, const char* sentence);

  // Unknown keys (with place and nearest), wrong types and values are errors.
  Status Read(const YamlNode& node) const;

  const std::vector<Key>& keys() const { return keys_; }

 private:
  void Add(Key key) { keys_.push_back(std::move(key)); }
  void AddWord(const char* name, std::string default_text, std::vector<std::string> words,
               std::function<void(size_t)> set, const char* sentence);
  static Status ReadList(const YamlNode& node,
                         const std::function<Status(const YamlNode&)>& read_element);

  std::vector<Key> keys_;
};

template <typename T>
void KeyMap::Word(const char* name, T* value, std::vector<std::pair<const char*, T>> words,
                  const char* sentence) {
  std::string default_text;
  std::vector<std::string> names;
  for (const auto& [word, meaning] : words) {
    if (meaning == *value) default_text = word;
    names.emplace_back(word);
  }
  AddWord(
      name, default_text, std::move(names), [value, words](size_t i) { *value = words[i].second; },
      sentence);
}

template <typename T>
void KeyMap::List(const char* name, std::function<void(KeyMap*, T*)> declare,
                  std::function<Status(const YamlNode&, T)> take, const char* sentence) {
  auto children = std::make_shared<KeyMap>();
  T shown;  // only its defaults are looked at, now
  declare(children.get(), &shown);
  const auto read_element = [declare, take](const YamlNode& node) -> Status {
    T value;
    KeyMap keys;
    declare(&keys, &value);
    RETURN_IF_ERROR(keys.Read(node));
    return take(node, std::move(value));
  };
  Add({.name = name,
       .type = KeyType::kMapList,
       .sentence = sentence,
       .children = std::move(children),
       .read = [read_element](const YamlNode& node) { return ReadList(node, read_element); }});
}

}  // namespace capstan
