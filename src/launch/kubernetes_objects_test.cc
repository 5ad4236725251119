#include "launch/kubernetes_objects.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "launch/job_file.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

struct Rendered {
  std::vector<KubernetesObject> objects;
  std::vector<std::string> warnings;

  Json Find(const std::string& kind, const std::string& name) const {
    for (const KubernetesObject& object : objects) {
      if (object.kind == kind && object.name == name) return Json::parse(object.json);
    }
    return Json();
  }
  std::string Kinds() const {
    std::string kinds;
    for (const KubernetesObject& object : objects) kinds += object.kind + "/" + object.name + " ";
    return kinds;
  }
};

StatusOr<Rendered> Render(const std::string& text, const KubernetesTarget& target, bool one_job) {
  ASSIGN_OR_RETURN(const JobSpec job, ParseJob(text, "job.yaml"));
  ASSIGN_OR_RETURN(const Plan plan,
                   MakePlan(job, {.engine = EngineKind::kKubernetes, .one_job = one_job}));
  Rendered rendered;
  ASSIGN_OR_RETURN(rendered.objects, RenderObjects(plan, target, &rendered.warnings));
  return rendered;
}
Rendered MustRender(const std::string& text, const KubernetesTarget& target = {},
                    bool one_job = false) {
  const auto rendered = Render(text, target, one_job);
  EXPECT_TRUE(rendered.ok()) << Message(rendered.status());
  return rendered.ok() ? *rendered : Rendered();
}

std::string Source(const std::string& path) {
  const auto text = ReadFile(*NewLocalFileSystem(), CAPSTAN_SOURCE_DIR "/" + path);
  EXPECT_TRUE(text.ok()) << Message(text.status());
  return text.ok() ? *text : "";
}

// The files of tests/golden/render: what each layout and version makes of a job.
// CAPSTAN_UPDATE_GOLDEN=1 launch_test writes them anew.
TEST(Render, GoldenFiles) {
  const struct {
    const char* name;
    const char* input;
    bool one_job;
    int minor;
    GangRoute gang = GangRoute::kAuto;
  } kCases[] = {
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", false, 24},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", false, 31},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", false, 34},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", false, 36},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", true, 24},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", true, 31},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", true, 34},
      {"two-ps-two-workers", "examples/two-ps-two-workers/job.yaml", true, 36},
      {"tfjob", "examples/tfjob/tfjob.yaml", false, 24},
      {"tfjob", "examples/tfjob/tfjob.yaml", false, 36},
      {"script", "tests/golden/render/script.yaml", false, 31},
      {"script-podgroup", "tests/golden/render/script.yaml", false, 36, GangRoute::kPodGroup},
      {"serve", "tests/golden/render/serve.yaml", false, 24},
      {"serve", "tests/golden/render/serve.yaml", false, 36},
  };
  const bool update = std::getenv("CAPSTAN_UPDATE_GOLDEN") != nullptr;
  for (const auto& c : kCases) {
    const std::string path = fmt::format("tests/golden/render/{}.{}.1.{}.yaml", c.name,
                                         c.one_job ? "L1" : "L2", c.minor);
    const Rendered rendered =
        MustRender(Source(c.input), {.minor = c.minor, .gang = c.gang}, c.one_job);
    const std::string text = ObjectsAsYaml(rendered.objects);
    if (update) {
      const auto fs = NewLocalFileSystem();
      ASSERT_TRUE(WriteFileAtomically(*fs, CAPSTAN_SOURCE_DIR "/" + path, text).ok());
    }
    EXPECT_EQ(Source(path), text) << path;
  }
}

constexpr char kTwoRoles[] =
    "name: j\nimage: i\ncommand: x\nworker: {replicas: 2}\nps: {replicas: 2}\n";

TEST(Render, OrderAndOwners) {
  const Rendered rendered = MustRender(std::string(kTwoRoles) + "evaluator: {}\n");
  EXPECT_EQ(rendered.Kinds(), "Job/j-worker Service/j Secret/j-token Job/j-ps Job/j-evaluator ");
  for (const KubernetesObject& object : rendered.objects) {
    const Json json = Json::parse(object.json);
    EXPECT_EQ(object.is_anchor, object.name == "j-worker");
    EXPECT_EQ(object.is_owned, !object.is_anchor);
    EXPECT_EQ(json["metadata"].contains("ownerReferences"), object.is_owned);
    EXPECT_EQ(json["apiVersion"], object.api_version);
    if (object.is_owned) {
      const Json& owner = json["metadata"]["ownerReferences"][0];
      EXPECT_EQ(owner["name"], "j-worker");
      EXPECT_EQ(owner["uid"], kAnchorUid);
    }
    EXPECT_EQ(json.value("spec", Json::object()).contains("suspend"), object.is_anchor);
  }
  EXPECT_EQ(MustRender(std::string(kTwoRoles) + "chief: {}\n").Kinds(),
            "Job/j-chief Service/j Secret/j-token Job/j-worker Job/j-ps ");
  EXPECT_EQ(MustRender(kTwoRoles, {}, true).Kinds(), "Job/j Service/j Secret/j-token ");
}

TEST(Render, WhoseEndEndsTheJob) {
  const auto policy = [](const std::string& more, bool one_job) {
    const Rendered rendered = MustRender(kTwoRoles + more, {}, one_job);
    return rendered.Find("Job", one_job ? "j" : "j-worker")["spec"].value("successPolicy", Json());
  };
  EXPECT_EQ(policy("", false).dump(), R"({"rules":[{"succeededIndexes":"0"}]})");
  EXPECT_TRUE(policy("done_when: all_workers\n", false).is_null());
  EXPECT_TRUE(policy("chief: {}\n", false).is_null());
  EXPECT_EQ(policy("", true).dump(), R"({"rules":[{"succeededIndexes":"0"}]})");
  EXPECT_EQ(policy("done_when: all_workers\n", true).dump(),
            R"({"rules":[{"succeededIndexes":"0-1"}]})");
}

TEST(Render, FailureTable) {
  const auto spec = [](const std::string& retries, int minor = 36) {
    return MustRender("name: j\nimage: i\ncommand: x\nworker: {}\nretries: " + retries + "\n",
                      {.minor = minor})
        .Find("Job", "j-worker")["spec"];
  };
  const Json fail = spec("{limit: 0, codes: {1-255: fail}}");
  EXPECT_EQ(fail["podFailurePolicy"]["rules"][0]["action"], "Ignore");
  EXPECT_EQ(fail["podFailurePolicy"]["rules"][1].dump(),
            R"({"action":"FailJob","onExitCodes":{"containerName":"task","operator":"NotIn",)"
            R"("values":[0]}})");
  EXPECT_EQ(fail["backoffLimitPerIndex"], 0);
  EXPECT_EQ(fail["maxFailedIndexes"], 0);
  const Json mixed = spec("{limit: 3, codes: {1-3: retry, 5: give_up, 6: succeed, 4-255: fail}}");
  EXPECT_EQ(mixed["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"].size(), 250u);
  EXPECT_EQ(mixed["podFailurePolicy"]["rules"][2].dump(),
            R"({"action":"FailIndex","onExitCodes":{"containerName":"task","operator":"In",)"
            R"("values":[5]}})");
  EXPECT_FALSE(mixed.contains("maxFailedIndexes"));
  const Json all = spec("{limit: 3, codes: {1-255: retry}}");
  EXPECT_EQ(all["podFailurePolicy"]["rules"].size(), 1u);
  const Json old = spec("{limit: 3}", 30);
  EXPECT_EQ(old["backoffLimit"], 3);
  EXPECT_FALSE(old.contains("podFailurePolicy"));
  EXPECT_EQ(old["template"]["spec"]["restartPolicy"], "OnFailure");
}

TEST(Render, GangRoutes) {
  const auto rendered = [](GangRoute gang, int minor) {
    return MustRender(std::string(kTwoRoles) + "cpu: 500m\nqueue: q\n",
                      {.minor = minor, .gang = gang});
  };
  const auto pod = [](const Rendered& r) { return r.Find("Job", "j-ps")["spec"]["template"]; };
  const Rendered native = rendered(GangRoute::kPodGroup, 36);
  EXPECT_EQ(native.Find("PodGroup", "j")["apiVersion"], "scheduling.k8s.io/v1alpha2");
  EXPECT_EQ(native.Find("PodGroup", "j")["spec"].dump(),
            R"({"schedulingPolicy":{"gang":{"minCount":4}}})");
  EXPECT_EQ(pod(native)["spec"]["schedulingGroup"]["podGroupName"], "j");
  EXPECT_EQ(rendered(GangRoute::kPodGroup, 37).Find("PodGroup", "j")["apiVersion"],
            "scheduling.k8s.io/v1beta1");
  EXPECT_EQ(Message(Render(kTwoRoles, {.minor = 35, .gang = GangRoute::kPodGroup}, false).status()),
            "gang podgroup wants Kubernetes 1.36 or newer, this is 1.35");
  const Rendered coscheduling = rendered(GangRoute::kCoscheduling, 34);
  EXPECT_EQ(coscheduling.Find("PodGroup", "j")["spec"].dump(),
            R"({"minMember":4,"minResources":{"cpu":"2000m"},"scheduleTimeoutSeconds":600})");
  EXPECT_EQ(pod(coscheduling)["metadata"]["labels"]["scheduling.x-k8s.io/pod-group"], "j");
  const Rendered volcano = rendered(GangRoute::kVolcano, 34);
  EXPECT_EQ(volcano.Find("PodGroup", "j")["spec"]["queue"], "q");
  EXPECT_EQ(pod(volcano)["metadata"]["annotations"]["scheduling.k8s.io/group-name"], "j");
  EXPECT_EQ(pod(volcano)["spec"]["schedulerName"], "volcano");
  const Json kueue =
      MustRender(std::string(kTwoRoles) + "gang: kueue\nqueue: q\n", {}, true).Find("Job", "j");
  EXPECT_EQ(kueue["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "q");
}

TEST(Render, ProbesOfServers) {
  const auto container = [](const std::string& command, const std::string& more, const char* role) {
    return MustRender("name: j\nimage: i\nallow_ephemeral: true\ncommand: " + command +
                      "\nworker: {}\nps: {port: 7}\n" + more)
        .Find("Job", std::string("j-") + role)["spec"]["template"]["spec"]["containers"][0];
  };
  EXPECT_EQ(container("capstan train", "", "ps")["startupProbe"]["grpc"]["port"], 7);
  EXPECT_TRUE(container("capstan train", "", "ps").contains("readinessProbe"));
  EXPECT_FALSE(container("capstan train", "", "worker").contains("startupProbe"));
  EXPECT_FALSE(container("python x.py", "", "ps").contains("startupProbe"));
  // The kubelet's probe speaks no TLS.
  EXPECT_FALSE(
      container("capstan train", "security: {tls_secret: s}\n", "ps").contains("startupProbe"));
  EXPECT_FALSE(container("capstan train --tls_cert=c", "", "ps").contains("startupProbe"));
}

TEST(Render, EnvironmentInOrder) {
  const Json env = MustRender(std::string(kTwoRoles) + "env: {A: '$(B) $$'}\n")
                       .Find("Job", "j-ps")["spec"]["template"]["spec"]["containers"][0]["env"];
  EXPECT_EQ(env[0]["name"], "JOB_COMPLETION_INDEX");
  EXPECT_EQ(env[1]["name"], "CAPSTAN_JOB");
  EXPECT_EQ(env[2]["value"], "ps");
  EXPECT_EQ(env[3]["name"], "TF_CONFIG");
  EXPECT_EQ(env[4]["value"], "$$(B) $$$");
}

TEST(Render, ConflictsNameTheField) {
  const auto error = [](const std::string& pod) {
    return Message(Render(std::string(kTwoRoles) + "pod: " + pod + "\n", {}, false).status());
  };
  EXPECT_EQ(error("{spec: {restartPolicy: Always}}"),
            "worker: pod.spec.restartPolicy is \"Always\", which the job sets to \"Never\"");
  EXPECT_EQ(error("{spec: {containers: [{name: task, image: other}]}}"),
            "worker: pod.spec.containers[task].image is \"other\", which the job sets to \"i\"");
  EXPECT_EQ(error("{template: {}}"), "worker: pod.template is unknown, wanted metadata or spec");
}

TEST(ParseKubernetesMinor, Versions) {
  EXPECT_EQ(*ParseKubernetesMinor("1.36"), 36);
  EXPECT_EQ(*ParseKubernetesMinor("v1.31.2"), 31);
  EXPECT_EQ(*ParseKubernetesMinor("1.27+"), 27);
  for (const char* bad : {"", "1", "2.1", "1.x", "1.36x", "1.-1"}) {
    EXPECT_FALSE(ParseKubernetesMinor(bad).ok()) << bad;
  }
  EXPECT_NE(Message(ParseKubernetesMinor("1.20").status()).find("1.24 or newer"),
            std::string::npos);
}

TEST(ObjectsAsJson, IsAList) {
  const Json list = Json::parse(ObjectsAsJson(MustRender(kTwoRoles).objects));
  EXPECT_EQ(list["kind"], "List");
  EXPECT_EQ(list["items"].size(), 4u);
}

}  // namespace
}  // namespace capstan
