#include "ps/cluster_spec.h"

#include <gtest/gtest.h>

namespace capstan {
namespace {

void ExpectError(const StatusOr<ClusterSpec>& spec, const std::vector<std::string>& parts) {
  ASSERT_FALSE(spec.ok());
  EXPECT_EQ(spec.status().code(), absl::StatusCode::kInvalidArgument);
  for (const auto& part : parts) {
    EXPECT_NE(Message(spec.status()).find(part), std::string::npos)
        << Message(spec.status()) << "\nwanted: " << part;
  }
}

constexpr char kPs[] = "10.0.0.1:2222,10.0.0.2:2222";
constexpr char kWorkers[] = "10.0.0.3:2222, 10.0.0.4:2222,10.0.0.4:2223";

TEST(ClusterFlagsTest, Roles) {
  auto spec = ParseClusterFlags(kPs, kWorkers, "worker", 0);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->is_chief());
  EXPECT_EQ(spec->trainer_count(), 3);
  EXPECT_EQ(spec->workers[1], "10.0.0.4:2222");
  EXPECT_EQ(spec->chief_address(), "10.0.0.3:2222");

  spec = ParseClusterFlags(kPs, kWorkers, "worker", 2);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_FALSE(spec->is_chief());
  EXPECT_EQ(spec->task_name(), "worker 2");
  EXPECT_EQ(spec->own_address(), "10.0.0.4:2223");

  spec = ParseClusterFlags(kPs, kWorkers, "ps", 1);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_FALSE(spec->is_chief());
  EXPECT_EQ(spec->task_name(), "ps 1");
  EXPECT_EQ(spec->own_address(), "10.0.0.2:2222");

  spec = ParseClusterFlags(kPs, kWorkers, "evaluator", 0);
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->task_name(), "evaluator");
  EXPECT_EQ(spec->own_address(), "");
  EXPECT_FALSE(spec->is_chief());
}

TEST(ClusterFlagsTest, Errors) {
  ExpectError(ParseClusterFlags("", kWorkers, "ps", 0), {"--ps_hosts is empty"});
  ExpectError(ParseClusterFlags(kPs, " ", "ps", 0), {"--worker_hosts is empty"});
  ExpectError(ParseClusterFlags("a:1,,b:1", kWorkers, "ps", 0), {"--ps_hosts", "entry 1 is empty"});
  ExpectError(ParseClusterFlags("a:1,", kWorkers, "ps", 0), {"--ps_hosts", "entry 1 is empty"});
  ExpectError(ParseClusterFlags("a:1,b", kWorkers, "ps", 0),
              {"--ps_hosts: ps 1", "'b' has no port"});
  ExpectError(ParseClusterFlags("a:0", kWorkers, "ps", 0), {"--ps_hosts: ps 0", "port 0"});
  ExpectError(ParseClusterFlags(kPs, "a:1,b:1,a:1", "ps", 0),
              {"--worker_hosts", "a:1", "worker 0", "worker 2"});
  ExpectError(ParseClusterFlags("a:1", "b:1,a:1", "ps", 0),
              {"--worker_hosts", "a:1", "ps 0", "worker 1"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "ps", 2),
              {"--task_index=2", "--ps_hosts names 2 tasks", "0 to 1"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "worker", -1), {"--task_index=-1"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "evaluator", 1), {"--task_index=1"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "wroker", 0), {"'wroker'", "nearest is 'worker'"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "", 0), {"--job_name=''"});
  ExpectError(ParseClusterFlags(kPs, kWorkers, "chief", 0), {"the chief is worker 0"});
}

TEST(TfConfigTest, Dense) {
  auto spec = ParseTfConfig(R"({
    "cluster": {"chief": ["c:1"], "ps": ["p0:1", "p1:1"], "worker": ["w0:1", "w1:1"],
                "evaluator": ["e:1"]},
    "task": {"type": "worker", "index": 0}, "environment": "cloud"})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_FALSE(spec->is_chief());
  EXPECT_FALSE(spec->is_sparse);
  EXPECT_EQ(spec->trainer_count(), 3);
  EXPECT_EQ(spec->chief_address(), "c:1");
  EXPECT_EQ(spec->evaluator, "e:1");
  EXPECT_EQ(spec->own_address(), "w0:1");

  for (const char* name : {"chief", "master"}) {
    spec = ParseTfConfig(fmt::format(
        R"({{"cluster": {{"{0}": ["c:1"], "ps": ["p:1"]}}, "task": {{"type": "{0}"}}}})", name));
    ASSERT_TRUE(spec.ok()) << spec.status();
    EXPECT_TRUE(spec->is_chief());
    EXPECT_EQ(spec->task_name(), "chief");
    EXPECT_EQ(spec->own_address(), "c:1");
    EXPECT_EQ(spec->trainer_count(), 1);
  }
  spec = ParseTfConfig(
      R"({"cluster": {"worker": ["w:1"], "ps": ["p:1"]}, "task": {"type": "evaluator", "index": 0}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->task_name(), "evaluator");
  spec = ParseTfConfig(
      R"({"cluster": {"worker": ["w:1"], "ps": ["p:1", "q:1"]}, "task": {"type": "ps", "index": "1"}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->own_address(), "q:1");
}

TEST(TfConfigTest, Sparse) {
  auto spec = ParseTfConfig(
      R"({"cluster": {"ps": ["p:1"], "chief": ["c:1"], "worker": {"2": "10.0.0.7:1"}},
          "task": {"type": "worker", "index": 2}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_TRUE(spec->is_sparse);
  EXPECT_EQ(spec->workers, (std::vector<std::string>{"", "", "10.0.0.7:1"}));

  // TFJob's names lead to worker 0.
  spec = ParseTfConfig(
      R"({"cluster": {"ps": ["job-ps-0.ns.svc:2222"], "worker": {"12": "job-worker-12.ns.svc:2222"}},
          "task": {"type": "worker", "index": 12}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->chief_address(), "job-worker-0.ns.svc:2222");
  EXPECT_FALSE(spec->is_chief());
  EXPECT_EQ(spec->own_address(), "job-worker-12.ns.svc:2222");
  ExpectError(ParseTfConfig(R"({"cluster": {"ps": ["p:1"], "worker": {"1": "10.0.0.1:1"}},
                                "task": {"type": "worker", "index": 1}})"),
              {"neither a chief nor worker 0"});

  // A server is told only of itself.
  spec = ParseTfConfig(
      R"({"cluster": {"ps": {"1": "p1:1"}, "worker": {}}, "task": {"type": "ps", "index": 1}})");
  ASSERT_TRUE(spec.ok()) << spec.status();
  EXPECT_EQ(spec->own_address(), "p1:1");
  EXPECT_EQ(spec->chief_address(), "");
}

TEST(TfConfigTest, Errors) {
  const struct {
    const char* json;
    std::vector<std::string> parts;
  } cases[] = {
      {"", {"no JSON"}},
      {"{", {"no JSON at byte"}},
      {"[]", {"expected an object"}},
      {R"({"task": {"type": "ps"}})", {"cluster is missing"}},
      {R"({"cluster": {}})", {"task is missing"}},
      {R"({"cluster": 7, "task": {"type": "ps"}})", {"cluster is 7"}},
      {R"({"cluster": {}, "task": 7})", {"task is 7"}},
      {R"({"cluster": {}, "task": {"index": 0}})", {"\"type\""}},
      {R"({"cluster": {}, "task": {"type": "pss"}})", {"task.type 'pss'", "nearest is 'ps'"}},
      {R"({"cluster": {}, "task": {"type": "ps", "index": 1.5}})", {"task.index is 1.5"}},
      {R"({"cluster": {}, "task": {"type": "ps", "index": "x"}})", {"task.index is \"x\""}},
      {R"({"cluster": {}, "task": {"type": "ps", "index": 99999999999}})", {"task.index"}},
      {R"({"cluster": {}, "task": {"type": "ps"}})", {"cluster.ps is missing"}},
      {R"({"cluster": {"wroker": []}, "task": {"type": "ps"}})", {"cluster.wroker", "'worker'"}},
      {R"({"cluster": {"ps": "p:1"}, "task": {"type": "ps"}})", {"cluster.ps is \"p:1\""}},
      {R"({"cluster": {"ps": [1]}, "task": {"type": "ps"}})", {"cluster.ps: task 0 is 1"}},
      {R"({"cluster": {"ps": ["p"]}, "task": {"type": "ps"}})", {"cluster.ps", "no port"}},
      {R"({"cluster": {"ps": {"x": "p:1"}}, "task": {"type": "ps"}})", {"'x' is no index"}},
      {R"({"cluster": {"ps": {"-1": "p:1"}}, "task": {"type": "ps"}})", {"'-1' is no index"}},
      {R"({"cluster": {"ps": {"2000000000": "p:1"}}, "task": {"type": "ps"}})", {"no index"}},
      {R"({"cluster": {"ps": ["p:1"], "worker": ["w:1"]}, "task": {"type": "ps", "index": 1}})",
       {"task.index=1", "names 1 task"}},
      {R"({"cluster": {"ps": {"1": "p:1"}}, "task": {"type": "ps", "index": 0}})",
       {"task.index=0", "does not name ps 0"}},
      {R"({"cluster": {"ps": ["p:1"], "worker": ["p:1"]}, "task": {"type": "ps"}})",
       {"p:1", "ps 0", "worker 0"}},
      {R"({"cluster": {"ps": ["p:1"], "worker": []}, "task": {"type": "ps"}})",
       {"neither a chief nor worker 0"}},
      {R"({"cluster": {"ps": ["p:1"], "worker": ["w:1"]}, "task": {"type": "chief"}})",
       {"cluster.chief is missing"}},
      {R"({"cluster": {"worker": ["w:1"]}, "task": {"type": "worker"}})",
       {"cluster.ps is missing"}},
      {R"({"cluster": {"chief": ["a:1", "b:1"]}, "task": {"type": "chief"}})", {"names 2 tasks"}},
      {R"({"cluster": {"chief": ["a:1"], "master": ["b:1"]}, "task": {"type": "chief"}})",
       {"both chief and master"}},
      {R"({"cluster": {"ps": ["p:1"], "worker": ["w:1"]}, "task": {"type": "evaluator", "index": 1}})",
       {"task.index=1"}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.json);
    ExpectError(ParseTfConfig(c.json), c.parts);
  }
}

TEST(TfConfigTest, EveryPrefixIsAnError) {
  const std::string json =
      R"({"cluster": {"ps": ["p:1"], "worker": {"0": "w:1"}}, "task": {"type": "ps", "index": 0}})";
  ASSERT_TRUE(ParseTfConfig(json).ok());
  for (size_t size = 0; size < json.size(); ++size) {
    EXPECT_FALSE(ParseTfConfig(json.substr(0, size)).ok()) << size;
  }
}

}  // namespace
}  // namespace capstan
