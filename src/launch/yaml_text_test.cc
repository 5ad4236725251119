#include "launch/yaml_text.h"

#include <gtest/gtest.h>

#include "launch/yaml_json.h"

namespace capstan {
namespace {

TEST(YamlOfJson, BlockStyle) {
  EXPECT_EQ(YamlOfJson(R"({"a":{"b":[{"c":1,"d":["x"]},[2,3]],"e":{}},"f":[],"g":null})"),
            "a:\n"
            "  b:\n"
            "  - c: 1\n"
            "    d:\n"
            "    - x\n"
            "  - [2, 3]\n"
            "  e: {}\n"
            "f: []\n"
            "g: null\n");
}

TEST(YamlOfJson, ReadsBack) {
  for (const char* json :
       {R"({"a":["1","true","no","~","","null","1.5","0x1","-","- a","a: b","a #b","#c","'q'"]})",
        R"({"a":["*x","&x","!x","%x","@x","`x","{x","[x","]","|","> ","line\nbreak","tab\t"]})",
        R"({"a b":1,"1":2,"y":3,"":4,"a/b.c-d_e":"--flag=/x,y","é":"ü\u0001"})",
        R"({"a":[[["x"]],[{"b":[{"c":{}}]}]]})", R"({"cron":"* * *","date":"2026-11-24"})",
        R"(["x",{"a":1}])", R"("just text: it")", "12"}) {
    const auto node = YamlNode::Parse(YamlOfJson(json), "f");
    ASSERT_TRUE(node.ok()) << json << Message(node.status());
    const auto back = JsonOfYaml(*node);
    ASSERT_TRUE(back.ok()) << Message(back.status());
    // The reader writes what the writer was given, but for escapes that JSON leaves open.
    EXPECT_EQ(YamlOfJson(*back), YamlOfJson(json));
  }
}

}  // namespace
}  // namespace capstan
