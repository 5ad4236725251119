#include "launch/tfjob.h"

#include <gtest/gtest.h>

#include "launch/job_file.h"

namespace capstan {
namespace {

std::string Manifest(const std::string& spec) {
  return "apiVersion: kubeflow.org/v1\nkind: TFJob\nmetadata: {name: j}\nspec:\n" + spec;
}
constexpr char kWorker[] =
    "  tfReplicaSpecs:\n"
    "    Worker:\n"
    "      template: {spec: {containers: [{name: tensorflow, image: i, command: [c]}]}}\n";

JobSpec Parsed(const std::string& text) {
  const auto job = ParseJob(text, "j.yaml");
  EXPECT_TRUE(job.ok()) << Message(job.status());
  return job.ok() ? *job : JobSpec();
}
std::string ErrorOf(const std::string& text) { return Message(ParseJob(text, "j.yaml").status()); }

TEST(TfJob, TemplatesAreTakenApart) {
  const JobSpec job = Parsed(R"(
apiVersion: kubeflow.org/v1
kind: TFJob
metadata:
  name: mnist
  namespace: ml
  labels: {team: ads}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: x}
spec:
  enableDynamicWorker: true
  runPolicy:
    cleanPodPolicy: Running
    ttlSecondsAfterFinished: 60
    activeDeadlineSeconds: 3600
    backoffLimit: 4
    suspend: true
    schedulingPolicy: {minAvailable: 3, queue: q, priorityClass: high, scheduleTimeoutSeconds: 30}
  tfReplicaSpecs:
    PS:
      replicas: 2
      restartPolicy: Never
      template:
        metadata: {labels: {x: y}}
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 5
          nodeSelector: {disk: ssd}
          containers:
            - name: side
              image: s
            - name: tensorflow
              image: tf:1
              args: [--a]
              command: [python, ps.py]
              workingDir: /w
              env:
                - {name: A, value: "1"}
                - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
              ports:
                - {name: tfjob-port, containerPort: 3333}
                - {name: http, containerPort: 80}
              resources:
                requests: {cpu: 1, ephemeral-storage: 1Gi}
                limits: {cpu: 2, memory: 1Gi, nvidia.com/gpu: 1}
              volumeMounts:
                - {name: data, mountPath: /data, readOnly: true}
                - {name: nfs, mountPath: /nfs}
          volumes:
            - {name: data, persistentVolumeClaim: {claimName: c}}
            - {name: nfs, nfs: {server: s, path: /}}
    Master:
      restartPolicy: ExitCode
      template: {spec: {containers: [{name: tensorflow, image: i}]}}
    Worker:
      replicas: 2
      restartPolicy: OnFailure
      template: {spec: {containers: [{name: tensorflow, image: i}]}}
)");
  EXPECT_TRUE(job.is_manifest);
  EXPECT_EQ(job.namespace_name, "ml");
  EXPECT_EQ(job.labels, (std::map<std::string, std::string>{{"team", "ads"}}));
  EXPECT_TRUE(job.annotations.empty());
  EXPECT_TRUE(job.dynamic_workers && job.suspended);
  EXPECT_EQ(job.time_to_live_s, 60);
  EXPECT_EQ(job.deadline_s, 3600);
  EXPECT_EQ(job.gang_min_tasks, 3);
  EXPECT_EQ(job.queue, "q");
  EXPECT_EQ(job.priority_class, "high");
  EXPECT_EQ(job.start_timeout_s, 30);
  ASSERT_EQ(job.roles.size(), 3u);
  EXPECT_EQ(job.roles[0].role, JobRole::kChief);
  EXPECT_EQ(job.roles[0].failures, (FailureTable{.retry_limit = 4}));
  const RoleSpec& worker = job.roles[1];
  EXPECT_EQ(worker.failures.ActionFor(1), FailureAction::kRetry);
  EXPECT_EQ(worker.failures.ActionFor({.exit_code = 1}, 4), FailureAction::kGiveUp);
  const RoleSpec& ps = job.roles[2];
  EXPECT_EQ(ps.replicas, 2);
  EXPECT_EQ(ps.port, 3333);
  EXPECT_EQ(ps.stop_timeout_s, 5);
  EXPECT_EQ(ps.failures.ActionFor({.exit_code = 143}, 0), FailureAction::kFailJob);
  EXPECT_EQ(ps.failures.ActionFor({.exit_code = 143, .evicted = true}, 0), FailureAction::kRetry);
  EXPECT_EQ(ps.program.command, (std::vector<std::string>{"python", "ps.py"}));
  EXPECT_EQ(ps.program.env[1].value_from, R"({"fieldRef":{"fieldPath":"status.podIP"}})");
  EXPECT_EQ(ps.program.resources,
            (ResourceSpec{.cpu = "1", .cpu_limit = "2", .memory_limit = "1Gi", .gpus = 1}));
  ASSERT_EQ(ps.program.volumes.size(), 1u);
  EXPECT_EQ(ps.program.volumes[0].source, "c");
  EXPECT_EQ(ps.program.pod,
            R"({"metadata":{"labels":{"x":"y"}},"spec":{"nodeSelector":{"disk":"ssd"},)"
            R"("containers":[{"name":"side","image":"s"},{"name":"tensorflow",)"
            R"("ports":[{"name":"http","containerPort":80}],)"
            R"("resources":{"requests":{"ephemeral-storage":"1Gi"}},)"
            R"("volumeMounts":[{"name":"nfs","mountPath":"/nfs"}]}],)"
            R"("volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"c"}},)"
            R"({"name":"nfs","nfs":{"server":"s","path":"/"}}]}})");
}

TEST(TfJob, Defaults) {
  const JobSpec job = Parsed(Manifest(kWorker));
  EXPECT_EQ(job.roles[0].replicas, 1);
  EXPECT_EQ(job.roles[0].port, 2222);
  EXPECT_EQ(job.roles[0].failures.ActionFor({.exit_code = 200}, 0), FailureAction::kFailJob);
  EXPECT_EQ(job.done_when, DoneWhen::kChief);
  EXPECT_EQ(job.time_to_live_s, -1);
  EXPECT_EQ(Parsed(Manifest(std::string("  successPolicy: AllWorkers\n") + kWorker)).done_when,
            DoneWhen::kAllWorkers);
}

TEST(TfJob, QueueOfKueueInLabels) {
  std::string text = Manifest(kWorker);
  text.replace(text.find("{name: j}"), 9, "{name: j, labels: {kueue.x-k8s.io/queue-name: lq}}");
  const JobSpec job = Parsed(text);
  EXPECT_EQ(job.gang, GangRoute::kKueue);
  EXPECT_EQ(job.queue, "lq");
}

TEST(TfJob, RefusesByName) {
  const auto run_policy = [](const std::string& policy) {
    return ErrorOf(Manifest("  runPolicy: {" + policy + "}\n" + kWorker));
  };
  EXPECT_NE(run_policy("cleanPodPolicy: All").find("cleanPodPolicy All"), std::string::npos);
  EXPECT_EQ(run_policy("cleanPodPolicy: All, ttlSecondsAfterFinished: 0"), "");
  EXPECT_NE(run_policy("managedBy: kueue.x-k8s.io/multikueue").find("managedBy"),
            std::string::npos);
  EXPECT_EQ(run_policy("managedBy: kubeflow.org/training-operator"), "");
  EXPECT_NE(run_policy("schedulingPolicy: {minResources: {cpu: 1}}").find("minResources"),
            std::string::npos);
  EXPECT_EQ(run_policy("backofLimit: 3"),
            "j.yaml:5:15: unknown key 'backofLimit', nearest is 'backoffLimit'");
  EXPECT_EQ(run_policy("activeDeadlineSeconds: 0"), "j.yaml:5:38: found 0, wanted at least 1");
  EXPECT_NE(run_policy("cleanPodPolicy: Al").find("nearest is 'All'"), std::string::npos);
  std::string text = Manifest(kWorker);
  text.replace(text.find("{name: j}"), 9, "{generateName: j-}");
  EXPECT_NE(ErrorOf(text).find("generateName"), std::string::npos);
}

TEST(TfJob, WrongReplicaSpecs) {
  const auto replicas = [](const std::string& text) {
    return ErrorOf(Manifest("  tfReplicaSpecs:\n    " + text + "\n"));
  };
  EXPECT_NE(replicas("Wroker: {}").find("unknown role 'Wroker'"), std::string::npos);
  EXPECT_NE(replicas("Worker: {replicas: 1}").find("template is missing"), std::string::npos);
  EXPECT_NE(replicas("Worker: {template: {spec: {containers: [{name: x}]}}}")
                .find("has none called tensorflow"),
            std::string::npos);
  EXPECT_NE(
      replicas("Worker: {template: {spec: {containers: [{name: tensorflow, command: x}]}}}")
          .find("template.spec.containers[tensorflow].command is \"x\", wanted a list of text"),
      std::string::npos);
  EXPECT_NE(replicas("Worker: {template: {spec: {containers: [{name: tensorflow, env: [{name: A, "
                     "value: 1}]}]}}}")
                .find("env[A].value is 1, wanted text"),
            std::string::npos);
  EXPECT_NE(replicas("Worker: {restartPolicy: Sometimes}").find("unknown 'Sometimes'"),
            std::string::npos);
  EXPECT_NE(replicas("Worker:").find("tfReplicaSpecs.Worker is empty"), std::string::npos);
  EXPECT_NE(replicas("PS: {template: {spec: {containers: [{name: tensorflow}]}}}")
                .find("neither Worker nor Chief"),
            std::string::npos);
  EXPECT_NE(replicas("Chief: {replicas: 2}").find("2 chiefs"), std::string::npos);
  EXPECT_NE(ErrorOf(Manifest("  successPolicy: x\n")).find("tfReplicaSpecs is missing"),
            std::string::npos);
}

}  // namespace
}  // namespace capstan
