#include "launch/kubernetes_logs.h"

#include <algorithm>
#include <map>
#include <memory>

#include "launch/kubernetes_status.h"
#include "launch/log_lines.h"
#include "net/object_watch.h"

namespace capstan {
namespace {

constexpr std::chrono::milliseconds kPollInterval{200};
constexpr std::chrono::seconds kReopenDelay{1};
constexpr int kMaxFailures = 5;  // of one container's log, in a row

bool Wanted(const LogOptions& options, const std::string& task) {
  return options.tasks.empty() ||
         std::find(options.tasks.begin(), options.tasks.end(), task) != options.tasks.end();
}

StatusOr<JobOutline> FindOutline(const std::string& job, const std::vector<std::string>& jobs) {
  for (const std::string& text : jobs) {
    StatusOr<JobOutline> outline = OutlineIn(text);
    if (outline.ok() || outline.status().code() != absl::StatusCode::kNotFound) return outline;
  }
  return NotFoundError("there is no job {} of ours", job);
}

std::string Selector(const std::string& job) { return fmt::format("{}={}", kJobLabel, job); }

void SendLines(const std::string& task, std::string_view text, const LogSink& sink) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    sink(task, text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

class LogFollower {
 public:
  LogFollower(KubernetesClient* client, const std::string& job, const std::string& namespace_name,
              const LogOptions& options, const LogSink& sink)
      : client_(client),
        job_(job),
        namespace_(namespace_name),
        options_(options),
        sink_(sink),
        pods_(client, "v1", "Pod", Selector(job), namespace_name),
        jobs_(client, "batch/v1", "Job", Selector(job), namespace_name) {}
  ~LogFollower() {
    for (auto& [key, stream] : streams_) {
      if (stream->id != 0) client_->Cancel(stream->id);
    }
  }

  Status Run() {
    bool first = true;
    while (!options_.stop()) {
      RETURN_IF_ERROR(jobs_.Advance());
      RETURN_IF_ERROR(pods_.Advance());
      if (first || jobs_.TakeChanged() || pods_.TakeChanged()) RETURN_IF_ERROR(Update(first));
      first = false;
      for (auto& [key, stream] : streams_) RETURN_IF_ERROR(Open(stream.get()));
      if (Ended()) return OkStatus();
      client_->Poll(kPollInterval);
    }
    return OkStatus();
  }

 private:
  // One run of one container.
  struct Stream {
    std::string task, pod, container;
    std::unique_ptr<LogLines> lines;
    int id = 0;         // 0: no request runs
    bool live = true;   // its container may write more
    bool read = false;  // to its end
    int failures = 0;   // in a row
    std::chrono::microseconds next_open{0};
  };

  Status Update(bool first) {
    JobSnapshot snapshot;
    for (const auto& [name, text] : jobs_.objects()) snapshot.jobs.push_back(text);
    for (const auto& [name, text] : pods_.objects()) snapshot.pods.push_back(text);
    const StatusOr<JobOutline> outline = FindOutline(job_, snapshot.jobs);
    // Later it may be deleted while we look: what its pods have written is still ours to read.
    if (!outline.ok() && first) return outline.status();
    gone_ = !outline.ok();
    anchor_ended_ = gone_;
    for (const std::string& text : snapshot.jobs) {
      const KubernetesJobState state = StateOfKubernetesJob(text);
      if (state.is_anchor) anchor_ended_ = state.complete || state.failed;
    }
    if (!gone_) outline_ = *outline;
    for (auto& [key, stream] : streams_) stream->live = false;
    active_ = false;
    for (const TaskPods& entry : TasksOf(job_, namespace_, outline_, snapshot)) {
      for (const PodState& pod : entry.pods) TakePod(entry.task.name, pod, first);
    }
    return OkStatus();
  }

  void TakePod(const std::string& task, const PodState& pod, bool first) {
    const bool lives = pod.state != TaskState::kQueued && !IsFinal(pod.state);
    active_ = active_ || lives;
    if (!Wanted(options_, task) || !pod.has_logs) return;
    std::unique_ptr<Stream>& stream = streams_[fmt::format("{}/{}", pod.uid, pod.restarts)];
    if (stream == nullptr) {
      stream = std::make_unique<Stream>();
      stream->task = task;
      stream->pod = pod.name;
      stream->container = pod.container;
      stream->lines =
          std::make_unique<LogLines>([this, task](std::string_view line) { sink_(task, line); });
      tail_[stream.get()] = first ? options_.tail_lines : -1;
    }
    stream->live = lives;
  }

  Status Open(Stream* stream) {
    if (stream->id != 0 || stream->read) return OkStatus();
    if (client_->clock().Monotonic() < stream->next_open) return OkStatus();
    PodLogQuery query{.pod = stream->pod,
                      .container = stream->container,
                      .follow = true,
                      .timestamps = true,
                      .since = stream->lines->last_time()};
    if (query.since.empty()) query.tail_lines = tail_[stream];
    ASSIGN_OR_RETURN(HttpRequest request, client_->LogRequest(query, namespace_));
    request.on_body = [stream](std::string_view bytes) {
      stream->failures = 0;
      stream->lines->Take(bytes);
      return true;
    };
    const bool was_live = stream->live;
    stream->id = client_->Start(std::move(request), [this, stream, was_live](auto reply) {
      stream->id = 0;
      stream->lines->End();
      const bool good = reply.ok() && reply->ok();
      // A container that lives may write more: its log was cut, or has ended with it.
      if (good && !was_live) stream->read = true;
      if (!good && ++stream->failures >= kMaxFailures && !stream->live) stream->read = true;
      if (reply.ok() && reply->status == 404) stream->read = true;
      if (reply.ok() && reply->status == 401) client_->RefreshCredentials();
      stream->next_open = client_->clock().Monotonic() + kReopenDelay;
    });
    return OkStatus();
  }

  bool Ended() const {
    if (!anchor_ended_ || active_) return false;
    return std::all_of(streams_.begin(), streams_.end(),
                       [](const auto& entry) { return entry.second->read; });
  }

  KubernetesClient* const client_;
  const std::string job_, namespace_;
  const LogOptions& options_;
  const LogSink& sink_;
  ObjectWatch pods_, jobs_;
  JobOutline outline_;
  std::map<std::string, std::unique_ptr<Stream>> streams_;  // by pod's UID and its restarts
  std::map<const Stream*, int64_t> tail_;
  bool gone_ = false, anchor_ended_ = false;
  bool active_ = false;  // a pod lives
};

}  // namespace

Status ReadJobLogs(KubernetesClient* client, const std::string& job,
                   const std::string& namespace_name, const LogOptions& options,
                   const LogSink& sink) {
  JobSnapshot snapshot;
  ASSIGN_OR_RETURN(auto jobs, client->List("batch/v1", "Job", Selector(job), namespace_name));
  snapshot.jobs = std::move(jobs.objects);
  ASSIGN_OR_RETURN(const JobOutline outline, FindOutline(job, snapshot.jobs));
  ASSIGN_OR_RETURN(auto pods, client->List("v1", "Pod", Selector(job), namespace_name));
  snapshot.pods = std::move(pods.objects);
  for (const TaskPods& entry : TasksOf(job, namespace_name, outline, snapshot)) {
    if (!Wanted(options, entry.task.name)) continue;
    for (const PodState& pod : entry.pods) {
      if (options.stop()) return OkStatus();
      if (!pod.has_logs) continue;
      PodLogQuery query{
          .pod = pod.name, .container = pod.container, .tail_lines = options.tail_lines};
      if (pod.restarts > 0) {
        PodLogQuery before = query;
        before.previous = true;
        const StatusOr<std::string> text = client->ReadLog(before, namespace_name);
        if (text.ok()) SendLines(entry.task.name, *text, sink);
      }
      const StatusOr<std::string> text = client->ReadLog(query, namespace_name);
      // A pod may go between the list and here.
      if (text.ok()) SendLines(entry.task.name, *text, sink);
      const bool known = text.ok() || text.status().code() == absl::StatusCode::kNotFound ||
                         text.status().code() == absl::StatusCode::kInvalidArgument;
      if (!known) return text.status();
    }
  }
  return OkStatus();
}

Status FollowJobLogs(KubernetesClient* client, const std::string& job,
                     const std::string& namespace_name, const LogOptions& options,
                     const LogSink& sink) {
  return LogFollower(client, job, namespace_name, options, sink).Run();
}

}  // namespace capstan
