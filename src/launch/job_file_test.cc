#include "launch/job_file.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"

namespace capstan {
namespace {

JobSpec Parsed(const std::string& text) {
  const auto job = ParseJob(text, "job.yaml");
  EXPECT_TRUE(job.ok()) << Message(job.status());
  return job.ok() ? *job : JobSpec();
}
std::string ErrorOf(const std::string& text) {
  return Message(ParseJob(text, "job.yaml").status());
}

TEST(JobFile, RolesTakeWhatTheTopSays) {
  const JobSpec job = Parsed(R"(
name: clicks
image: capstan:1
command: capstan train --x='a b'
env: {A: 1, B: two}
cpu: 2
memory: 1Gi
volumes:
  - {mount: /data, claim: clicks}
retries: {limit: 9, codes: {137: give_up, 1-5: retry}}
done_when: all_workers
ps: {replicas: 2, cpu: 500m, image: other:1}
worker:
  replicas: 3
  env: {B: three, C: ''}
  command: [python, train.py, 5]
  volumes:
    - {mount: /data, host_path: /srv, read_only: true}
    - {mount: /tmp, empty: true, size: 1Gi, memory: true}
  gpus: 1
  gpu_model: T4
  retries: {limit: 1}
  stop_timeout: 2m
)");
  EXPECT_EQ(job.name, "clicks");
  EXPECT_EQ(job.done_when, DoneWhen::kAllWorkers);
  ASSERT_EQ(job.roles.size(), 2u);
  const RoleSpec& worker = job.roles[0];
  const RoleSpec& ps = job.roles[1];
  EXPECT_EQ(worker.role, JobRole::kWorker);
  EXPECT_EQ(worker.replicas, 3);
  EXPECT_EQ(worker.program.image, "capstan:1");
  EXPECT_EQ(worker.program.command, (std::vector<std::string>{"python", "train.py", "5"}));
  EXPECT_EQ(worker.program.env,
            (std::vector<EnvVar>{
                {.name = "A", .value = "1"}, {.name = "B", .value = "three"}, {.name = "C"}}));
  ASSERT_EQ(worker.program.volumes.size(), 2u);
  EXPECT_EQ(worker.program.volumes[0].kind, VolumeSpec::Kind::kHostPath);
  EXPECT_EQ(worker.program.volumes[0].name, "srv");
  EXPECT_EQ(worker.program.volumes[1].name, "empty");
  EXPECT_EQ(worker.failures.retry_limit, 1);
  EXPECT_TRUE(worker.failures.rules.empty());
  EXPECT_EQ(worker.stop_timeout_s, 120);
  EXPECT_EQ(worker.program.resources.cpu_limit, "2");
  EXPECT_EQ(worker.program.resources.gpus, 1);
  EXPECT_EQ(ps.program.image, "other:1");
  EXPECT_EQ(ps.program.command, (std::vector<std::string>{"capstan", "train", "--x=a b"}));
  EXPECT_EQ(ps.program.resources.cpu, "500m");
  EXPECT_EQ(ps.program.resources.cpu_limit, "500m");
  EXPECT_EQ(ps.program.resources.memory, "1Gi");
  EXPECT_EQ(ps.failures.ActionFor(137), FailureAction::kGiveUp);
  EXPECT_EQ(ps.failures.retry_limit, 9);
}

TEST(JobFile, ServeBlock) {
  const JobSpec job = Parsed(R"(
name: inception
image: capstan:1
serve:
  model: /models/inception
  replicas: 3
  port: 9000
  service: LoadBalancer
  cpu: 1
  autoscale: {max: 5, cpu: 50}
  weights: {inception: 90, canary: 10}
)");
  ASSERT_TRUE(job.serve.has_value());
  EXPECT_TRUE(job.roles.empty());
  EXPECT_EQ(job.serve->model_name, "inception");
  EXPECT_EQ(job.serve->program.image, "capstan:1");
  EXPECT_EQ(job.serve->service, ServiceKind::kLoadBalancer);
  EXPECT_EQ(job.serve->autoscale_max, 5);
  EXPECT_EQ(job.serve->route_weights[1].second, 10);
}

TEST(JobFile, ErrorsNameThePlace) {
  const struct {
    const char* text;
    const char* message;
  } kCases[] = {
      {"name: a\nwoker: {replicas: 2}", "job.yaml:2:1: unknown key 'woker', nearest is 'worker'"},
      {"name: a\nworker: {replica: 2}",
       "job.yaml:2:10: unknown key 'replica', nearest is 'replicas'"},
      {"name: a\nname: b", "job.yaml:2:1: key 'name' is given twice"},
      {"name: a\nworker: {replicas: two}", "job.yaml:2:20: found 'two', wanted a whole number"},
      {"name: a\nworker: {replicas: -1}", "job.yaml:2:20: found -1, wanted 0 to 65536"},
      {"name: a\nworker: {memory: 1GB}",
       "job.yaml:2:18: '1GB' is no quantity, wanted a number with a unit as 500m, 2, 2Gi"},
      {"name: a\ndeadline: 90",
       "job.yaml:2:11: '90' is no duration, wanted a number with a unit as 90s, 10m, 2h, 1d"},
      {"name: a\ngang: volcan",
       "job.yaml:2:7: unknown 'volcan', wanted one of auto, none, podgroup, coscheduling, volcano, "
       "kueue, nearest is 'volcano'"},
      {"name: a\nretries: {codes: {0: retry}}",
       "job.yaml:2:22: exit codes '0', wanted a number of 1 to 255 or a range as 1-127"},
      {"name: a\nretries: {codes: {1: retyr}}",
       "job.yaml:2:22: unknown action 'retyr', wanted one of succeed, retry, give_up, fail, "
       "nearest "
       "is 'retry'"},
      {"name: a\ncommand: a | b",
       "job.yaml:2:10: command 'a | b': | needs a shell, and none runs: quote it for the text "
       "itself, or write [sh, -c, '…']"},
      {"name: a\nworker: {volumes: [{mount: /d}]}",
       "job.yaml:2:20: a volume of 0 sources, wanted one of claim, host_path, config_map, secret, "
       "empty (and folder, for local runs)"},
      {"name: a\nworker: {volumes: [{mount: /d, claim: c, secret: s}]}",
       "job.yaml:2:20: a volume of 2 sources, wanted one of claim, host_path, config_map, secret, "
       "empty (and folder, for local runs)"},
      {"name: a\nworker: {volumes: [{mount: d, claim: c}]}",
       "job.yaml:2:20: mount is 'd', wanted an absolute path"},
      {"name: a\nworker: {volumes: {mount: /d}}",
       "job.yaml:2:19: found something else, wanted a list"},
      {"name: a\nworker: {env: [A]}",
       "job.yaml:2:15: found something else, wanted a map of keys and values"},
      {"name: a\nchief: {replicas: 2}", "job.yaml:2:8: 2 chiefs, wanted 1"},
      {"name: a\nchief: {}\ndone_when: all_workers",
       "job.yaml:3:12: all_workers beside a chief, whose end is the job's end"},
      {"name: a\nps: {replicas: 2}",
       "job.yaml:1:1: names neither worker nor chief, one of which leads the job"},
      {"name: a",
       "job.yaml:1:1: names no task, wanted worker (and ps, chief, evaluator), or serve"},
      {"worker: {}", "job.yaml:1:1: name is missing"},
      {"name: a\nserve: {autoscale: {min: 3, max: 2}}",
       "job.yaml:2:8: autoscale: max is below min"},
      {"name: [a", "job.yaml:1:1: end of sequence flow not found"},
      {"name: a\xff", "job.yaml: byte 7 is not UTF-8"},
      {"name: \xed\xa0\x80", "job.yaml: byte 6 is not UTF-8"},
      {"a list", "job.yaml: is no map of keys and values, wanted a job file"},
      {"apiVersion: v1\nkind: Pod",
       "job.yaml:1:1: a manifest of kind 'Pod', apiVersion 'v1': wanted a job file, or kind TFJob "
       "of kubeflow.org/v1"},
  };
  for (const auto& c : kCases) EXPECT_EQ(ErrorOf(c.text), c.message) << c.text;
}

// Whatever a file holds, its parser answers with a job or a sentence.
TEST(JobFile, EachTruncationIsAnAnswer) {
  const std::string text =
      "name: a\nworker: {replicas: 2, env: {A: b}, volumes: [{mount: /d, claim: c}]}\n"
      "ps:\n  command: [a, 'b', \"c\"]\n  pod: {spec: {containers: [{name: x}]}}\n"
      "retries: {limit: 1, codes: {1-5: retry}}\nserve: {model: /m}\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    ParseJob(text.substr(0, size), "f").status().IgnoreError();
  }
  // Every key with a value of each wrong kind.
  for (const char* value : {"", "[]", "{}", "[[x]]", "{a: {b: c}}", "-1", "1e99", "'\\0'"}) {
    for (const char* key : {"name", "command", "env", "ports", "port", "volumes", "tolerations",
                            "node_selector", "pod", "retries", "chief", "worker", "serve", "gang",
                            "deadline", "security", "tensorboard", "apiVersion", "kind"}) {
      ParseJob(fmt::format("name: a\n{}: {}\n", key, value), "f").status().IgnoreError();
      ParseJob(fmt::format("name: a\nworker:\n  {}: {}\n", key, value), "f").status().IgnoreError();
    }
  }
}

TEST(JobFile, FolderOfTheFile) {
  MemoryFileSystem fs;
  fs.Put("jobs/a.yaml", "name: a\nworker: {}\n");
  const auto job = ReadJob(fs, "jobs/a.yaml");
  ASSERT_TRUE(job.ok()) << Message(job.status());
  EXPECT_EQ(job->base_folder, "jobs");
  EXPECT_FALSE(ReadJob(fs, "jobs/b.yaml").ok());
}

// What `capstan manual job_file` and `capstan manual job_file_schema` print is what is committed.
TEST(JobFile, DocumentationIsCurrent) {
  const auto fs = NewLocalFileSystem();
  const std::string docs = CAPSTAN_SOURCE_DIR "/docs/";
  const auto page = ReadFile(*fs, docs + "job_file.md");
  const auto schema = ReadFile(*fs, docs + "job_file.schema.json");
  ASSERT_TRUE(page.ok() && schema.ok());
  EXPECT_TRUE(*page == JobFilePage()) << "capstan manual job_file > docs/job_file.md";
  EXPECT_TRUE(*schema == JobFileSchema())
      << "capstan manual job_file_schema > docs/job_file.schema.json";
}

}  // namespace
}  // namespace capstan
