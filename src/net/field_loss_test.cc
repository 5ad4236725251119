#include "net/field_loss.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

using Lost = std::vector<std::string>;

TEST(FieldLossTest, NamesWhatIsGone) {
  const std::string sent =
      R"({"kind": "Job", "spec": {"completionMode": "Indexed", "suspend": false,
      "template": {"spec": {"containers": [{"name": "a", "tty": true}, {"name": "b"}]}},
      "rules": [{"x": 1}, {"y": 2}], "empty": {}, "zero": 0}})";
  EXPECT_EQ(*LostFields(sent, sent), Lost{});
  EXPECT_EQ(*LostFields(sent, R"({"kind": "Job", "more": 1, "spec": {
      "template": {"spec": {"containers": [{"name": "b"}, {"name": "a"}]}}, "rules": [{"x": 1}]}})"),
            (Lost{"spec.completionMode", "spec.rules[1]", "spec.template.spec.containers[a].tty"}));
}

TEST(FieldLossTest, ValuesMayBeWrittenOtherwise) {
  EXPECT_EQ(*LostFields(R"({"cpu": "1000m", "stringData": {"a": "b"}})", R"({"cpu": "1"})"),
            Lost{});
  EXPECT_FALSE(LostFields("[]", "{}").ok());
  EXPECT_FALSE(LostFields("{}", "{").ok());
}

TEST(FieldLossTest, VersionsOfFields) {
  EXPECT_EQ(VersionOfField("spec.completionMode"), "Kubernetes 1.24");
  EXPECT_EQ(VersionOfField("spec.template.spec.schedulingGroup"),
            "Kubernetes 1.36 with the gate GenericWorkload");
  EXPECT_EQ(VersionOfField("spec.nonsense"), "");
}

}  // namespace
}  // namespace capstan
