#include "base/yaml.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

YamlNode Parsed(const std::string& text) { return YamlNode::Parse(text, "m.yaml").value(); }

TEST(Yaml, ReadsScalarsListsAndMaps) {
  const YamlNode root = Parsed("a: 3\nb: [1, 2]\nc: {d: yes, e: 0.5}\nlarge: 1e6\nspaced: 1_000\n");
  int64_t a = 0, large = 0, spaced = 0;
  ASSERT_TRUE(root["a"].Get(&a).ok());
  ASSERT_TRUE(root["large"].Get(&large).ok());
  ASSERT_TRUE(root["spaced"].Get(&spaced).ok());
  EXPECT_EQ(a, 3);
  EXPECT_EQ(large, 1000000);
  EXPECT_EQ(spaced, 1000);
  std::vector<int> b;
  ASSERT_TRUE(root["b"].Get(&b).ok());
  EXPECT_EQ(b, (std::vector<int>{1, 2}));
  bool d = false;
  float e = 0;
  ASSERT_TRUE(root["c"]["d"].Get(&d).ok());
  ASSERT_TRUE(root["c"]["e"].Get(&e).ok());
  EXPECT_TRUE(d);
  EXPECT_EQ(e, 0.5f);
  EXPECT_EQ(root.keys(), (std::vector<std::string>{"a", "b", "c", "large", "spaced"}));
}

TEST(Yaml, AbsentNodesKeepDefaults) {
  const YamlNode root = Parsed("a: 3\n");
  std::string value = "default";
  EXPECT_TRUE(root["b"]["c"].Get(&value).ok());
  EXPECT_EQ(value, "default");
  EXPECT_FALSE(root["b"].exists());
}

TEST(Yaml, ErrorsNameThePlaceAndTheNearestKey) {
  const YamlNode root = Parsed("model: dnn\noptimzer: sgd\n");
  EXPECT_EQ(Message(root.CheckKeys({"model", "optimizer"})),
            "m.yaml:2:1: unknown key 'optimzer', nearest is 'optimizer'");
  int number = 0;
  EXPECT_EQ(Message(root["model"].Get(&number)), "m.yaml:1:8: found 'dnn', wanted a whole number");
  EXPECT_EQ(Message(Parsed("a: 1\na: 2\n").CheckKeys({"a"})), "m.yaml:2:1: key 'a' is given twice");
  EXPECT_NE(Message(YamlNode::Parse("a: [1, 2", "m.yaml").status()).find("m.yaml:"),
            std::string::npos);
}

TEST(Yaml, QuotedScalarsAndAbsentPlaces) {
  const auto node = YamlNode::Parse("{a: '1', b: 1, c: \"x\", d: [1]}", "f.yaml");
  ASSERT_TRUE(node.ok());
  EXPECT_TRUE((*node)["a"].is_quoted());
  EXPECT_FALSE((*node)["b"].is_quoted());
  EXPECT_TRUE((*node)["c"].is_quoted());
  EXPECT_FALSE((*node)["d"].is_quoted());
  EXPECT_FALSE((*node)["e"].is_quoted());
  EXPECT_EQ((*node)["e"].place(), "f.yaml");
}

}  // namespace
}  // namespace capstan
