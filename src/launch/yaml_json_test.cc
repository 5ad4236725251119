#include "launch/yaml_json.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

std::string JsonOf(const std::string& yaml) {
  const auto node = YamlNode::Parse(yaml, "f.yaml");
  if (!node.ok()) return Message(node.status());
  const auto json = JsonOfYaml(*node);
  return json.ok() ? *json : Message(json.status());
}

TEST(JsonOfYaml, KubernetesRules) {
  EXPECT_EQ(JsonOf("a: 1\nb: [x, \"1\", 'true', true, yes, ~]"),
            R"({"a":1,"b":["x","1","true",true,true,null]})");
  EXPECT_EQ(JsonOf("mode: 0644"), R"({"mode":420})");
  EXPECT_EQ(JsonOf("mode: 0x1F"), R"({"mode":31})");
  EXPECT_EQ(JsonOf("a: 1.5\nb: -3\nc: 1e3\nd: 1.2.3\ne: 2026-11-24\nf: 500m"),
            R"({"a":1.5,"b":-3,"c":1000.0,"d":"1.2.3","e":"2026-11-24","f":"500m"})");
  EXPECT_EQ(JsonOf("a: |\n  x\n  y\nz: {}"), R"({"a":"x\ny\n","z":{}})");
  EXPECT_EQ(JsonOf("a: .inf"), R"({"a":".inf"})");
}

TEST(JsonOfYaml, Refuses) {
  EXPECT_EQ(JsonOf("a: 1\na: 2"), "f.yaml:2:1: key 'a' is given twice");
  EXPECT_EQ(JsonOf("? [a, b]\n: 1"), "f.yaml:1:3: key is not a word");
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 8; ++i) {
    bomb += fmt::format("a{}: &a{} [*a{}, *a{}, *a{}, *a{}, *a{}, *a{}, *a{}, *a{}]\n", i, i, i - 1,
                        i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
  }
  EXPECT_NE(JsonOf(bomb).find("more than 100,000 values"), std::string::npos);
}

}  // namespace
}  // namespace capstan
