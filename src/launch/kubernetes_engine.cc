#include "launch/kubernetes_engine.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "launch/kubernetes_logs.h"
#include "launch/kubernetes_objects.h"
#include "launch/kubernetes_status.h"
#include "launch/kubernetes_submit.h"
#include "launch/step_line.h"
#include "net/kubernetes_client.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

constexpr int kProgressTail = 20;  // lines of the leader's log
constexpr int kElasticMinor = 27;  // completions and parallelism of an Indexed Job may change
constexpr std::chrono::milliseconds kDeleteInterval{300};

// 256 bits from the system, as hexadecimal digits.
StatusOr<std::string> MakeToken() {
  std::random_device device;
  std::string token;
  for (int i = 0; i < 8; ++i) token += fmt::format("{:08x}", device());
  return token;
}

StatusOr<std::string> TokenOf(const Plan& plan, FileSystem* fs) {
  const std::string& path = plan.spec.security.token_file;
  if (path.empty()) return MakeToken();
  ASSIGN_OR_RETURN(const std::string text, ReadFile(*fs, path, 4096));
  const size_t end = text.find_last_not_of(" \t\r\n");
  return text.substr(0, end == std::string::npos ? 0 : end + 1);
}

std::string LabelOf(const std::string& object, const char* label) {
  const Json json = Json::parse(object, nullptr, false);
  const Json labels = json.value(Json::json_pointer("/metadata/labels"), Json::object());
  return labels.is_object() ? labels.value(label, std::string()) : std::string();
}

class KubernetesEngine : public Engine {
 public:
  explicit KubernetesEngine(KubernetesEngineOptions options) : options_(std::move(options)) {}

  EngineKind kind() const override { return EngineKind::kKubernetes; }

  Status Submit(const Plan& plan) override {
    RETURN_IF_ERROR(Connect());
    return SubmitPlan(client_.get(), plan,
                      {.dry_run = options_.dry_run, .notice = options_.notice, .make_token = [&] {
                         return TokenOf(plan, options_.fs);
                       }});
  }

  StatusOr<JobStatus> GetStatus(const std::string& job) override {
    RETURN_IF_ERROR(Connect());
    ASSIGN_OR_RETURN(JobSnapshot snapshot, Look(Selector(job)));
    ASSIGN_OR_RETURN(JobStatus status, Join(job, snapshot));
    if (!IsFinal(status.state) || status.state == TaskState::kFailed) {
      snapshot.events = Events();
      ASSIGN_OR_RETURN(status, Join(job, snapshot));
    }
    AddProgress(snapshot, &status);
    return status;
  }

  StatusOr<std::vector<JobStatus>> List() override {
    RETURN_IF_ERROR(Connect());
    ASSIGN_OR_RETURN(const JobSnapshot all, Look(kJobLabel));
    std::map<std::string, JobSnapshot> by_job;
    for (const std::string& text : all.jobs) by_job[LabelOf(text, kJobLabel)].jobs.push_back(text);
    for (const std::string& text : all.pods) by_job[LabelOf(text, kJobLabel)].pods.push_back(text);
    std::vector<JobStatus> result;
    for (const auto& [job, snapshot] : by_job) {
      StatusOr<JobStatus> status = Join(job, snapshot);
      if (status.status().code() == absl::StatusCode::kNotFound) continue;  // pods of a deleted one
      if (!status.ok()) return status.status();
      status->tasks.clear();
      result.push_back(std::move(*status));
    }
    return result;
  }

  Status Logs(const std::string& job, const LogOptions& options, const LogSink& sink) override {
    RETURN_IF_ERROR(Connect());
    const auto read = options.follow ? FollowJobLogs : ReadJobLogs;
    return read(client_.get(), job, client_->namespace_name(), options, sink);
  }

  Status Scale(const std::string& job, JobRole role, int replicas) override {
    ASSIGN_OR_RETURN(const JobsOf jobs, FindJobs(job));
    const JobOutline::Role* entry = jobs.outline.Find(role);
    const std::string what = fmt::format("scale {} of {}", NameOf(role), job);
    if (entry == nullptr) return Error("{}: the job has none", what);
    if (role != JobRole::kWorker || jobs.outline.one_job) {
      return Error(
          "{}: only workers of a job with a Kubernetes Job per role can change their "
          "number",
          what);
    }
    if (!jobs.outline.dynamic_workers) {
      return Error(
          "{}: its tasks know {} workers by name; only a job with dynamic workers can "
          "change their number",
          what, entry->replicas);
    }
    if (!client_->version().AtLeast(kElasticMinor)) {
      return Error("{}: server {} cannot change the number of a Job's pods, Kubernetes 1.{} can",
                   what, client_->version().text, kElasticMinor);
    }
    const int least = std::max(entry->leading, 1);
    if (replicas < least) return Error("{}: wanted at least {}, not {}", what, least, replicas);
    for (const KubernetesJobState& state : jobs.states) {
      if (state.name != entry->job_name) continue;
      if (state.complete || state.failed) return Error("{}: the job has ended", what);
      const Json patch = {{"spec", {{"completions", replicas}, {"parallelism", replicas}}}};
      return client_->Patch(JobName(state.name), patch.dump()).status();
    }
    return NotFoundError("{}: there is no Job {}: submit again", what, entry->job_name);
  }

  Status Suspend(const std::string& job) override { return SetSuspended(job, true); }
  Status Resume(const std::string& job) override { return SetSuspended(job, false); }

  Status Delete(const std::string& job) override {
    RETURN_IF_ERROR(Connect());
    bool found = false;
    // The anchor takes what belongs to it along. What a deleted anchor has left, and what serves,
    // goes by its label.
    const std::pair<const char*, const char*> kinds[] = {
        {"batch/v1", "Job"},
        {"apps/v1", "Deployment"},
        {"v1", "Service"},
        {"autoscaling/v2", "HorizontalPodAutoscaler"},
        {"v1", "ConfigMap"},
        {"policy/v1", "PodDisruptionBudget"},
        {"gateway.networking.k8s.io/v1", "GRPCRoute"}};
    for (const auto& [api_version, kind] : kinds) {
      ASSIGN_OR_RETURN(const bool has, client_->Has(api_version, kind));
      if (!has) continue;
      const auto list = client_->List(api_version, kind, Selector(job));
      // Whoever may not even see these has not made them.
      if (list.status().code() == absl::StatusCode::kPermissionDenied) continue;
      if (!list.ok()) return list.status();
      for (const std::string& text : list->objects) {
        RETURN_IF_ERROR(DeleteObject(api_version, kind, text));
        found = true;
      }
    }
    if (!found) return NotFoundError("there is no job {} in {}", job, Place());
    return AwaitGone(job);
  }

 private:
  struct JobsOf {
    JobOutline outline;
    std::vector<KubernetesJobState> states;  // the anchor first
  };

  Status Connect() {
    if (client_ != nullptr) return OkStatus();
    ASSIGN_OR_RETURN(KubeConnection connection, LoadKubeconfig(*options_.fs, options_.kubeconfig));
    ASSIGN_OR_RETURN(client_,
                     KubernetesClient::Connect(
                         std::move(connection),
                         {.fs = options_.fs, .clock = options_.clock, .sleep = options_.sleep}));
    return OkStatus();
  }

  static std::string Selector(const std::string& job) {
    return fmt::format("{}={}", kJobLabel, job);
  }
  static ObjectName JobName(const std::string& name) { return {"batch/v1", "Job", name, ""}; }
  std::string Place() const {
    return fmt::format("namespace {} of {}", client_->namespace_name(), client_->source());
  }

  StatusOr<JobSnapshot> Look(const std::string& selector) {
    ASSIGN_OR_RETURN(auto jobs, client_->List("batch/v1", "Job", selector));
    ASSIGN_OR_RETURN(auto pods, client_->List("v1", "Pod", selector));
    return JobSnapshot{.jobs = std::move(jobs.objects), .pods = std::move(pods.objects)};
  }

  // Those that explain what waits; none where we may not look.
  std::vector<std::string> Events() {
    auto events = client_->List("v1", "Event", "", "", "type=Warning");
    return events.ok() ? std::move(events->objects) : std::vector<std::string>();
  }

  StatusOr<JobStatus> Join(const std::string& job, const JobSnapshot& snapshot) {
    StatusOr<JobStatus> status =
        StatusOfSnapshot(job, client_->namespace_name(), snapshot, options_.clock->WallSeconds());
    if (status.status().code() != absl::StatusCode::kNotFound) return status;
    return NotFoundError("there is no job {} in {}", job, Place());
  }

  // From the tail of the first leader's log.
  void AddProgress(const JobSnapshot& snapshot, JobStatus* status) {
    const auto leads = [](const TaskStatus& task) { return task.leads; };
    const auto leader = std::find_if(status->tasks.begin(), status->tasks.end(), leads);
    if (leader == status->tasks.end()) return;
    for (const std::string& text : snapshot.jobs) {
      const StatusOr<JobOutline> outline = OutlineIn(text);
      if (!outline.ok()) continue;
      const auto tasks = TasksOf(status->name, client_->namespace_name(), *outline, snapshot);
      const auto& pods = tasks[static_cast<size_t>(leader - status->tasks.begin())].pods;
      if (pods.empty() || !pods.back().has_logs) return;
      const auto log = client_->ReadLog({.pod = pods.back().name,
                                         .container = pods.back().container,
                                         .tail_lines = kProgressTail});
      if (!log.ok()) return;
      for (std::string_view rest = *log; !rest.empty();) {
        const size_t end = std::min(rest.find('\n'), rest.size());
        StepLine line;
        if (ParseStepLine(rest.substr(0, end), &line)) {
          leader->step = line.step;
          leader->examples_per_second = line.examples_per_second;
        }
        rest.remove_prefix(std::min(end + 1, rest.size()));
      }
      return;
    }
  }

  StatusOr<JobsOf> FindJobs(const std::string& job) {
    RETURN_IF_ERROR(Connect());
    ASSIGN_OR_RETURN(const auto list, client_->List("batch/v1", "Job", Selector(job)));
    JobsOf jobs;
    for (const std::string& text : list.objects) {
      const KubernetesJobState state = StateOfKubernetesJob(text);
      if (!state.is_anchor) {
        jobs.states.push_back(state);
        continue;
      }
      ASSIGN_OR_RETURN(jobs.outline, OutlineIn(text));
      jobs.states.insert(jobs.states.begin(), state);
    }
    if (jobs.states.empty() || !jobs.states.front().is_anchor) {
      return NotFoundError("there is no job {} in {}", job, Place());
    }
    return jobs;
  }

  // The anchor first: its annotation tells the wish, should we be ended in between.
  Status SetSuspended(const std::string& job, bool suspended) {
    ASSIGN_OR_RETURN(const JobsOf jobs, FindJobs(job));
    const KubernetesJobState& anchor = jobs.states.front();
    if (anchor.complete || anchor.failed) {
      return MakeStatus(absl::StatusCode::kFailedPrecondition,
                        fmt::format("job {} has ended already", job));
    }
    for (const KubernetesJobState& state : jobs.states) {
      if (state.complete || state.failed) continue;
      Json patch = {{"spec", {{"suspend", suspended}}}};
      if (state.is_anchor) {
        patch["metadata"]["annotations"][kSuspendedAnnotation] =
            suspended ? Json("true") : Json(nullptr);
      }
      RETURN_IF_ERROR(client_->Patch(JobName(state.name), patch.dump()).status());
    }
    return OkStatus();
  }

  Status DeleteObject(const std::string& api_version, const std::string& kind,
                      const std::string& text) {
    const Json metadata = Json::parse(text, nullptr, false).value("metadata", Json::object());
    const Status status =
        client_->Delete({api_version, kind, metadata.value("name", std::string()), ""},
                        {.propagation = "Foreground", .uid = metadata.value("uid", std::string())});
    // Somebody was faster, perhaps the garbage collector.
    const bool gone = status.code() == absl::StatusCode::kNotFound;
    return gone ? OkStatus() : status;
  }

  Status AwaitGone(const std::string& job) {
    const auto end = options_.clock->Monotonic() + options_.delete_patience;
    for (;;) {
      ASSIGN_OR_RETURN(const JobSnapshot left, Look(Selector(job)));
      if (left.jobs.empty() && left.pods.empty()) return OkStatus();
      if (options_.clock->Monotonic() > end) {
        return MakeStatus(
            absl::StatusCode::kDeadlineExceeded,
            fmt::format("delete {}: {} pods are still ending", job, left.pods.size()));
      }
      options_.sleep(kDeleteInterval);
    }
  }

  const KubernetesEngineOptions options_;
  std::unique_ptr<KubernetesClient> client_;
};

}  // namespace

std::unique_ptr<Engine> NewKubernetesEngine(KubernetesEngineOptions options) {
  return std::make_unique<KubernetesEngine>(std::move(options));
}

}  // namespace capstan
