// YAML with places: every error names file, line and column, and an unknown key its nearest known
// one. The only file that touches yaml-cpp; its exceptions end here.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// A node of a parsed file. Cheap to copy; nodes share the tree. An absent node is `!exists()`, and
// getters on it give their default.
class YamlNode {
 public:
  // `name` is the file's name for messages.
  static StatusOr<YamlNode> Parse(const std::string& text, const std::string& name);

  YamlNode();
  ~YamlNode();
  YamlNode(const YamlNode&);
  YamlNode& operator=(const YamlNode&);

  bool exists() const;
  bool is_map() const;
  bool is_list() const;
  bool is_scalar() const;
  // A scalar that is text whatever it looks like: "1", 'true', | and > blocks, !!str.
  bool is_quoted() const;
  // "model.yaml:12:3"; of an absent node only "model.yaml".
  std::string place() const;

  // A list's elements, or a map's keys in file order.
  std::vector<YamlNode> elements() const;
  std::vector<std::string> keys() const;
  YamlNode operator[](std::string_view key) const;

  // Error unless this is a map whose keys are all in `known`: names place and nearest known key.
  Status CheckKeys(const std::vector<std::string>& known) const;

  // The scalar in a type. On an absent node they leave `*value` alone and return OK.
  Status Get(std::string* value) const;
  Status Get(int64_t* value) const;
  Status Get(int* value) const;
  Status Get(double* value) const;
  Status Get(float* value) const;
  Status Get(bool* value) const;
  Status Get(std::vector<int>* value) const;
  Status Get(std::vector<float>* value) const;
  Status Get(std::vector<std::string>* value) const;

  // "model.yaml:12:3: " + message.
  Status ErrorHere(const std::string& message) const;

 private:
  struct Rep;
  std::shared_ptr<const Rep> rep_;
};

}  // namespace capstan
