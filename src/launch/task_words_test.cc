#include "launch/task_words.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

const ClusterHosts kHosts = {.workers = {"w0:1", "w1:1"}, .ps = {"p0:1", "p1:1"}};

TEST(TfConfigText, DenseAsTfJobWritesIt) {
  EXPECT_EQ(TfConfigText(kHosts, {.role = "ps", .index = "1"}, false),
            R"({"cluster":{"worker":["w0:1","w1:1"],"ps":["p0:1","p1:1"]},)"
            R"("task":{"type":"ps","index":1},"environment":"cloud"})");
  EXPECT_EQ(TfConfigText({.chief = "c:1", .ps = {"p:1"}}, {.role = "chief", .index = "0"}, false),
            R"({"cluster":{"chief":["c:1"],"ps":["p:1"]},)"
            R"("task":{"type":"chief","index":0},"environment":"cloud"})");
}

TEST(TfConfigText, SparseNamesWhomATaskNeeds) {
  const std::string index = "$(I)";
  EXPECT_EQ(TfConfigText(kHosts, {.role = "worker", .index = index, .address = "w-$(I):1"}, true),
            R"x({"cluster":{"worker":{"$(I)":"w-$(I):1"},"ps":["p0:1","p1:1"]},)x"
            R"x("task":{"type":"worker","index":$(I)}})x");
  EXPECT_EQ(TfConfigText(kHosts, {.role = "ps", .index = "1", .address = "p1:1"}, true),
            R"({"cluster":{"ps":{"1":"p1:1"}},"task":{"type":"ps","index":1}})");
  EXPECT_EQ(TfConfigText(kHosts, {.role = "evaluator", .index = "0"}, true),
            R"({"cluster":{"worker":{"0":"w0:1"},"ps":["p0:1","p1:1"]},)"
            R"("task":{"type":"evaluator","index":0}})");
}

TEST(ReplacePlaceholders, KnownOnes) {
  const TaskPlace place = {.role = "worker", .index = "1", .address = "w1:1", .port = 7};
  const auto replaced = [&](const char* text) { return *ReplacePlaceholders(text, kHosts, place); };
  EXPECT_EQ(replaced("--ps_hosts={ps_hosts}"), "--ps_hosts=p0:1,p1:1");
  EXPECT_EQ(replaced("{worker_hosts} {chief_host} {job_name}/{task_index}:{port}"),
            "w0:1,w1:1 w0:1 worker/1:7");
  EXPECT_EQ(replaced(R"({"a": {}} {} {other} {{ } {)"), R"({"a": {}} {} {other} {{ } {)");
  const auto wrong = ReplacePlaceholders("{ps_host}", kHosts, place);
  EXPECT_EQ(Message(wrong.status()), "word '{ps_host}': unknown {ps_host}, nearest is {ps_hosts}");
}

// What Kubernetes does with an escaped text gives the text back.
TEST(References, EscapedTextExpandsToItself) {
  const std::vector<EnvVar> env = {{.name = "A", .value = "1"}};
  for (const char* text : {"$(A)", "$$(A)", "$$$(A)", "$", "$$", "a$b", "$(", "$(A", "$$a$$"}) {
    EXPECT_EQ(ExpandReferences(EscapeReferences(text), env), text);
  }
  EXPECT_EQ(ExpandReferences("$(A)-$(B)-$$(A)-$A", env), "1-$(B)-$(A)-$A");
}

TEST(MapPaths, WholePathsOnly) {
  const PathMap paths = {{"/data", "/home/me/d"}, {"/data/ck", "/tmp/ck"}};
  EXPECT_EQ(MapPaths("--f=/data/a,/data/b", paths), "--f=/home/me/d/a,/home/me/d/b");
  EXPECT_EQ(MapPaths("/data", paths), "/home/me/d");
  EXPECT_EQ(MapPaths("/data/ck/x /data/ckx", paths), "/tmp/ck/x /home/me/d/ckx");
  EXPECT_EQ(MapPaths("/other/data /database x/data", paths), "/other/data /database x/data");
}

}  // namespace
}  // namespace capstan
