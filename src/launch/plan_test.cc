#include "launch/plan.h"

#include <gtest/gtest.h>

#include "launch/job_file.h"

namespace capstan {
namespace {

StatusOr<Plan> PlanOf(const std::string& text, PlanOptions options = {}) {
  ASSIGN_OR_RETURN(JobSpec job, ParseJob(text, "job.yaml"));
  job.base_folder = "jobs";
  int port = 4000;
  options.choose_port = [&port]() -> StatusOr<int> { return port++; };
  return MakePlan(job, options);
}
Plan Planned(const std::string& text, PlanOptions options = {}) {
  const auto plan = PlanOf(text, options);
  EXPECT_TRUE(plan.ok()) << Message(plan.status());
  return plan.ok() ? *plan : Plan();
}
std::string ErrorOf(const std::string& text, PlanOptions options = {}) {
  return Message(PlanOf(text, options).status());
}

PlanOptions KubernetesRun() { return {.engine = EngineKind::kKubernetes}; }
constexpr char kScript[] = R"(
name: j
image: i
env: {X: '$(HOME)'}
command: python t.py --ps_hosts={ps_hosts} --worker_hosts={worker_hosts} --job_name={job_name} --task_index={task_index}
worker: {replicas: 2}
ps: {replicas: 1}
)";
constexpr char kCapstan[] = R"(
name: j
image: i
command: [capstan, train, --checkpoint_path=/data/ck, '--train_files=/data/a,/data/b']
volumes: [{mount: /data, claim: c, folder: d}]
worker: {replicas: 2}
ps: {replicas: 1}
)";

TEST(Plan, LocalRun) {
  const Plan plan = Planned(kScript);
  EXPECT_FALSE(plan.has_token);
  const auto tasks = plan.tasks();
  ASSERT_EQ(tasks.size(), 3u);
  EXPECT_EQ(tasks[0]->name, "j-worker-0");
  EXPECT_EQ(tasks[0]->address, "127.0.0.1:4000");
  EXPECT_TRUE(tasks[0]->leads);
  EXPECT_FALSE(tasks[1]->leads);
  EXPECT_EQ(tasks[2]->command,
            (std::vector<std::string>{"python", "t.py", "--ps_hosts=127.0.0.1:4002",
                                      "--worker_hosts=127.0.0.1:4000,127.0.0.1:4001",
                                      "--job_name=ps", "--task_index=0"}));
  EXPECT_EQ(tasks[2]->env[0].value, "j");
  EXPECT_EQ(tasks[2]->env[1].value, "ps");
  EXPECT_EQ(tasks[2]->env[2].name, "TF_CONFIG");
  EXPECT_EQ(tasks[2]->env[3].value, "$(HOME)");
}

TEST(Plan, LocalRunsSeeFoldersInPlaceOfMounts) {
  const Plan plan = Planned(kCapstan);
  EXPECT_EQ(plan.tasks()[0]->command,
            (std::vector<std::string>{"capstan", "train", "--checkpoint_path=jobs/d/ck",
                                      "--train_files=jobs/d/a,jobs/d/b", "--start_timeout=600"}));
}

TEST(Plan, DockerRun) {
  const Plan plan = Planned(kScript, {.engine = EngineKind::kDocker});
  EXPECT_TRUE(plan.has_token);
  const TaskPlan& ps = *plan.tasks()[2];
  EXPECT_EQ(ps.address, "j-ps-0:2222");
  EXPECT_EQ(ps.command[0], kSupervisorPath);
  EXPECT_EQ(ps.command[1], "--job=j");
  EXPECT_EQ(ps.command[2], "--tasks=worker:2,ps:1");
  EXPECT_EQ(ps.command[3], "--role=ps");
  EXPECT_EQ(ps.command[4], "--index=0");
  EXPECT_EQ(ps.command[5], "--leaders=j-worker-0");
  EXPECT_EQ(ps.command[6], "--token_file=/var/run/capstan/token/token");
  EXPECT_EQ(ps.command[7], "--");
}

TEST(Plan, KubernetesTemplate) {
  const Plan plan = Planned(kScript, KubernetesRun());
  const RolePlan& worker = plan.roles[0];
  EXPECT_EQ(worker.tasks[1].address, "j-worker-1.j.default.svc:2222");
  EXPECT_TRUE(worker.tasks[0].command.empty());
  EXPECT_EQ(worker.command.back(), "--task_index=$(JOB_COMPLETION_INDEX)");
  EXPECT_EQ(worker.env[2].value,
            R"({"cluster":{"worker":["j-worker-0.j.default.svc:2222",)"
            R"("j-worker-1.j.default.svc:2222"],"ps":["j-ps-0.j.default.svc:2222"]},)"
            R"("task":{"type":"worker","index":$(JOB_COMPLETION_INDEX)},"environment":"cloud"})");
  // The file's $( is text on every engine.
  EXPECT_EQ(worker.env[3].value, "$$(HOME)");
}

TEST(Plan, NamespaceAndDomain) {
  const std::string file = std::string(kScript) + "namespace: ml\ncluster_domain: c.local\n";
  EXPECT_EQ(Planned(file, KubernetesRun()).tasks()[0]->address, "j-worker-0.j.ml.svc.c.local:2222");
  PlanOptions options = KubernetesRun();
  options.namespace_name = "other";
  EXPECT_EQ(Planned(file, options).tasks()[0]->address, "j-worker-0.j.other.svc.c.local:2222");
}

TEST(Plan, CapstanIsNotSupervisedAndGetsTheToken) {
  const Plan plan = Planned(kCapstan, KubernetesRun());
  EXPECT_TRUE(plan.roles[0].is_capstan);
  EXPECT_FALSE(plan.roles[0].supervised);
  EXPECT_EQ(plan.roles[1].command.back(), "--auth_token_file=/var/run/capstan/token/token");
  const Plan tls =
      Planned(std::string(kCapstan) + "security: {token: false, tls_secret: s}\n", KubernetesRun());
  EXPECT_EQ(tls.roles[0].command.back(), "--tls_ca=/var/run/capstan/tls/ca.crt");
  const Plan open = Planned(std::string(kCapstan) + "security: {token: false}\n", KubernetesRun());
  EXPECT_EQ(open.roles[0].command.back(), "--insecure");
}

TEST(Plan, OneTaskHasNoCluster) {
  const Plan plan = Planned("name: j\ncommand: x\nworker: {}\n");
  EXPECT_EQ(plan.tasks()[0]->env.size(), 2u);
}

TEST(Plan, SuccessCodesWantASupervisor) {
  const Plan plan =
      Planned("name: j\nimage: i\ncommand: x\nworker: {}\nretries: {codes: {3: succeed}}\n",
              KubernetesRun());
  EXPECT_TRUE(plan.roles[0].supervised);
  EXPECT_EQ(plan.roles[0].command[6], "--codes=3:0");
}

TEST(Plan, LayoutOfOneJob) {
  PlanOptions options = KubernetesRun();
  options.one_job = true;
  const Plan plan = Planned(kScript, options);
  EXPECT_EQ(plan.tasks()[2]->name, "j-2");
  EXPECT_EQ(plan.tasks()[2]->address, "j-2.j.default.svc:2222");
  const auto& words = plan.roles[0].command;
  EXPECT_EQ(words[2], "--tasks=worker:2,ps:1");
  EXPECT_EQ(words[3], "--index=$(JOB_COMPLETION_INDEX)");
  EXPECT_EQ(words.back(), "--task_index={task_index}");
  EXPECT_EQ(ErrorOf(std::string(kScript) + "evaluator: {cpu: 1}\n", options),
            "layout L1 has one template for all tasks, worker and evaluator differ in cpu, memory "
            "or gpus: use L2");
}

TEST(Plan, Names) {
  const std::string name(55, 'a');
  EXPECT_EQ(ErrorOf("name: " + name + "\ncommand: x\nworker: {replicas: 100}\n"),
            "job name '" + name + "' has 55 characters, which makes " + name +
                "-worker-99 65 of at most 63: the longest name for this job has 53");
  for (const char* bad : {"Abc", "1a", "a_b", "a-", "a.b", "'ä'"}) {
    EXPECT_NE(
        ErrorOf(fmt::format("name: {}\ncommand: x\nworker: {{}}\n", bad)).find("is no DNS name"),
        std::string::npos)
        << bad;
  }
}

TEST(Plan, ChecksBeforeAnythingStarts) {
  const auto with = [](const std::string& more) {
    return ErrorOf("name: j\nimage: i\ncommand: x\n" + more, KubernetesRun());
  };
  EXPECT_EQ(with("worker: {cpu: 2, cpu_limit: 1}"),
            "worker: cpu: limit 1 is below the 2 that is asked for");
  EXPECT_EQ(with("worker: {env: {TF_CONFIG: x}}"),
            "worker: env TF_CONFIG is set by the job itself");
  EXPECT_NE(with("worker: {node_selector: {'a b': c}}").find("is no key of a label"),
            std::string::npos);
  EXPECT_NE(with("worker: {node_selector: {a: 'b c'}}").find("is no value of a label"),
            std::string::npos);
  EXPECT_NE(with("worker: {volumes: [{mount: /d, folder: d}]}").find("add claim or host_path"),
            std::string::npos);
  EXPECT_NE(with("worker: {volumes: [{mount: /d, claim: C_1}]}").find("is no name of an object"),
            std::string::npos);
  EXPECT_EQ(with("worker: {gpu_model: T4}"), "worker: gpu_model and gpu_memory without gpus");
  EXPECT_EQ(with("worker: {}\nps: {}\nretries: {at_limit: give_up}"),
            "ps: give_up is for workers: the job cannot go on without a ps");
  EXPECT_EQ(with("worker: {}\ngang: kueue"), "gang kueue wants a queue");
  EXPECT_NE(with("worker: {}\nps: {}\ngang: kueue\nqueue: q").find("use layout L1"),
            std::string::npos);
  EXPECT_NE(with("worker: {working_dir: w}").find("no absolute path"), std::string::npos);
  EXPECT_NE(ErrorOf("name: j\ncommand: x\nworker: {}", KubernetesRun()).find("image is missing"),
            std::string::npos);
  EXPECT_NE(with("worker: {min_available: 2}").find("min_available 2 of 1"), std::string::npos);
  EXPECT_NE(with("worker: {}\nserve: {}").find("model is missing"), std::string::npos);
  EXPECT_NE(ErrorOf("name: j\nworker: {}").find("command is missing"), std::string::npos);
  EXPECT_NE(ErrorOf("name: j\ncommand: x\nworker: {volumes: [{mount: /d, claim: c}]}")
                .find("local runs need a folder in its place"),
            std::string::npos);
}

TEST(Plan, WhatOnlyTheImageKnowsIsNotSupervised) {
  const std::string file = "name: j\nimage: i\nworker: {command: x}\nps: {}\n";
  EXPECT_NE(ErrorOf(file, KubernetesRun()).find("ps: command is missing"), std::string::npos);
  PlanOptions options = KubernetesRun();
  options.unsupervised = true;
  const Plan plan = Planned(file, options);
  EXPECT_TRUE(plan.roles[1].command.empty());
  EXPECT_FALSE(plan.roles[0].supervised);
}

TEST(Plan, CheckpointsOutlivePods) {
  const auto with = [](const std::string& volumes, const std::string& more = "") {
    return ErrorOf(
        "name: j\nimage: i\ncommand: capstan train --checkpoint_path=/data/ck\n"
        "worker: {volumes: " +
            volumes + "}\n" + more,
        KubernetesRun());
  };
  EXPECT_EQ(with("[{mount: /data, claim: c}]"), "");
  EXPECT_EQ(with("[]"),
            "worker: --checkpoint_path=/data/ck lies in the container, which goes with its pod: "
            "mount a volume there (claim or host_path), or allow_ephemeral for a trial");
  EXPECT_NE(with("[{mount: /data, empty: true}]").find("on an empty volume"), std::string::npos);
  EXPECT_NE(with("[{mount: /data, claim: c, read_only: true}]").find("read-only"),
            std::string::npos);
  EXPECT_EQ(with("[]", "allow_ephemeral: true"), "");
  // A server writes its part of a checkpoint itself.
  EXPECT_NE(with("[{mount: /data, claim: c}]", "ps: {}").find("ps: --checkpoint_path"),
            std::string::npos);
  EXPECT_NE(with("[{mount: /data, claim: c}]", "ps: {volumes: [{mount: /data, claim: d}]}")
                .find("lies on another volume than worker's"),
            std::string::npos);
  EXPECT_EQ(with("[{mount: /data, claim: c}]", "ps: {volumes: [{mount: /data, claim: c}]}"), "");
  for (const char* store : {"s3://b", "gs://b", "hdfs://b"}) {
    EXPECT_NE(ErrorOf(fmt::format("name: j\nimage: i\ncommand: capstan train --train_files={}\n"
                                  "worker: {{}}\n",
                                  store),
                      KubernetesRun())
                  .find("://; mount the data as a volume"),
              std::string::npos);
  }
}

TEST(Plan, LongTfConfigIsSparseOrRefused) {
  const auto file = [](const char* command, int workers) {
    return fmt::format(
        "name: recsys\nimage: i\ncommand: {}\nallow_ephemeral: true\n"
        "worker: {{replicas: {}}}\nps: {{replicas: {}}}\n",
        command, workers, workers / 4);
  };
  EXPECT_FALSE(Planned(file("x", 2000), KubernetesRun()).sparse);
  const std::string error = ErrorOf(file("x", 4000), KubernetesRun());
  EXPECT_NE(error.find("TF_CONFIG of 5000 tasks would have"), std::string::npos) << error;
  const Plan plan = Planned(file("capstan train", 4000), KubernetesRun());
  EXPECT_TRUE(plan.sparse);
  EXPECT_EQ(plan.warnings.size(), 1u);
  EXPECT_NE(ErrorOf(file("capstan train --x={worker_hosts}", 4000), KubernetesRun())
                .find("bytes, the kernel takes 131072 at most"),
            std::string::npos);
}

TEST(Plan, ManifestsAreKubernetesOwn) {
  const std::string manifest =
      "apiVersion: kubeflow.org/v1\nkind: TFJob\nmetadata: {name: j}\nspec:\n  tfReplicaSpecs:\n"
      "    Worker:\n      replicas: 2\n      template: {spec: {containers: [{name: tensorflow, "
      "image: i, command: [run, '$(A)', '{ps_host}'], args: ['$$(A)'], env: [{name: A, value: "
      "\"1\"}]}]}}\n";
  const Plan cluster = Planned(manifest, KubernetesRun());
  EXPECT_EQ(cluster.roles[0].command, (std::vector<std::string>{"run", "$(A)", "{ps_host}"}));
  const Plan local = Planned(manifest);
  EXPECT_EQ(local.tasks()[0]->command, (std::vector<std::string>{"run", "1", "{ps_host}"}));
  EXPECT_EQ(local.tasks()[0]->args, (std::vector<std::string>{"$(A)"}));
}

TEST(Plan, Description) {
  const std::string text = DescribePlan(Planned(kScript));
  EXPECT_TRUE(text.starts_with("job j, local run of 3 tasks\n\nj-worker-0 127.0.0.1:4000 leads\n"));
  EXPECT_NE(text.find("\n  command  python t.py --ps_hosts=127.0.0.1:4002"), std::string::npos);
}

}  // namespace
}  // namespace capstan
