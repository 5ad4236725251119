#include "launch/pod_merge.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

const char kOurs[] =
    R"({"metadata":{"labels":{"a":"1"}},"spec":{"containers":[{"name":"task","image":"i",)"
    R"("ports":[{"containerPort":1}],"volumeMounts":[{"name":"d","mountPath":"/d"}]}],)"
    R"("tolerations":[{"key":"x"}],"restartPolicy":"Never"}})";

std::string Merged(const std::string& theirs) {
  const auto merged = PutBeneath(kOurs, theirs);
  return merged.ok() ? *merged : Message(merged.status());
}

TEST(PutBeneath, AddsWhatIsNotOurs) {
  EXPECT_EQ(Merged(""), kOurs);
  EXPECT_EQ(
      Merged(R"({"metadata":{"labels":{"b":"2"}},"spec":{"imagePullSecrets":[{"name":"s"}],)"
             R"("restartPolicy":"Never","tolerations":[{"key":"x"},{"key":"y"}],)"
             R"("containers":[{"name":"task","ports":[{"containerPort":2}],"tty":true},)"
             R"({"name":"side","image":"s"}]}})"),
      R"({"metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"name":"task",)"
      R"("image":"i","ports":[{"containerPort":1},{"containerPort":2}],)"
      R"("volumeMounts":[{"name":"d","mountPath":"/d"}],"tty":true},{"name":"side","image":"s"}],)"
      R"("tolerations":[{"key":"x"},{"key":"y"}],"restartPolicy":"Never",)"
      R"("imagePullSecrets":[{"name":"s"}]}})");
}

TEST(PutBeneath, NamesConflicts) {
  EXPECT_EQ(Merged(R"({"spec":{"containers":[{"name":"task","image":"j"}]}})"),
            R"(pod.spec.containers[task].image is "j", which the job sets to "i")");
  EXPECT_EQ(Merged(R"({"spec":{"restartPolicy":"Always"}})"),
            R"(pod.spec.restartPolicy is "Always", which the job sets to "Never")");
  EXPECT_EQ(
      Merged(
          R"({"spec":{"containers":[{"name":"task","volumeMounts":[{"mountPath":"/d","name":"e"}]}]}})"),
      R"(pod.spec.containers[task].volumeMounts[/d].name is "e", which the job sets to "d")");
  EXPECT_TRUE(
      Merged(R"({"spec":{"containers":"x"}})").starts_with("pod.spec.containers is \"x\","));
  EXPECT_EQ(Merged(R"({"template":{}})"), "pod.template is unknown, wanted metadata or spec");
  EXPECT_EQ(Merged("[]"), "pod is no map, wanted a PodTemplateSpec");
}

}  // namespace
}  // namespace capstan
