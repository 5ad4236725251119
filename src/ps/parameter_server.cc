#include "ps/parameter_server.h"

#include <utility>

#include "ps/local_fault.h"
#include "ps/server_core.h"

namespace capstan {

ParameterServer::ParameterServer(ParameterServerOptions options, WorkerPool* pool, Storage storage)
    : core_(std::make_unique<ServerCore>(std::move(options), pool, std::move(storage))) {}

ParameterServer::~ParameterServer() {
  jobs_.Stop();
  Answers answers;
  {
    MutexLock lock(&mutex_);
    core_->AnswerAll(MakeStatus(absl::StatusCode::kUnavailable, "the server is going"), &answers);
  }
  answers.Send();
}

void ParameterServer::Pull(std::string request, Reply reply) {
  const std::chrono::microseconds arrival = core_->now();
  StatusOr<PullRequest> pull = PullRequest::Decode(request, core_->options().tables.size());
  if (!pull.ok()) return reply(pull.status());
  Answers answers;
  {
    MutexLock lock(&mutex_);
    core_->CountBytesIn(request.size());
    core_->Pull(*std::move(pull), arrival, std::move(reply), &answers);
    StartWriting();
  }
  answers.Send();
}

void ParameterServer::Push(std::string request, Reply reply) {
  const std::chrono::microseconds arrival = core_->now();
  const auto message = std::make_shared<const std::string>(std::move(request));
  const StatusOr<PushRequest> push = PushRequest::Decode(*message, core_->options().tables.size());
  if (!push.ok()) return reply(push.status());
  Answers answers;
  {
    MutexLock lock(&mutex_);
    core_->CountBytesIn(message->size());
    const StatusOr<PushAnswer> answer = core_->Push(*push, message, &answers);
    if (answer.ok()) {
      answers.Add(std::move(reply), answer->Encode());
    } else {
      answers.Add(std::move(reply), answer.status());
    }
    core_->CountPushTime(arrival);
    StartWriting();
  }
  answers.Send();
}

void ParameterServer::Control(std::string request, Reply reply) {
  const StatusOr<ControlRequest> control = ControlRequest::Decode(request);
  if (!control.ok()) return reply(control.status());
  Answers answers;
  {
    MutexLock lock(&mutex_);
    switch (control->kind) {
      case ControlKind::kBegin:
        if (core_->Begin(*control, std::move(reply), &answers)) {
          jobs_.Add([this, control = *control](bool stopping) { Restore(control, stopping); });
        }
        break;
      case ControlKind::kCut:
        core_->RequestCut(*control, std::move(reply), &answers);
        StartWriting();
        break;
      case ControlKind::kAwaitPart:
        core_->AwaitPart(*control, std::move(reply), &answers);
        break;
      case ControlKind::kEnd:
        core_->End(*control, std::move(reply), &answers);
        break;
      case ControlKind::kStatus:
        core_->AnswerStatus(*control, std::move(reply), &answers);
        StartWriting();
        break;
    }
  }
  answers.Send();
}

void ParameterServer::Restore(const ControlRequest& request, bool stopping) {
  if (stopping) return;  // the destructor answers
  std::shared_ptr<LocalParameters> old;
  {
    MutexLock lock(&mutex_);
    old = core_->TakeOldParameters();
  }
  old.reset();  // before the new ones take memory
  int64_t step = 0;
  std::vector<LeaseMark> marks;
  auto parameters = core_->NewParameters(request.prefix, &step, &marks);
  Answers answers;
  {
    MutexLock lock(&mutex_);
    const Status status = LocalFault(parameters.status());
    core_->Serve(request.run, status, status.ok() ? *std::move(parameters) : nullptr, step, marks,
                 &answers);
  }
  answers.Send();
}

void ParameterServer::Close() {
  Answers answers;
  {
    MutexLock lock(&mutex_);
    core_->Close(&answers);
  }
  answers.Send();
  jobs_.Stop();
}

Status ParameterServer::CloseAndSave(const WriteHeld& write) {
  Close();
  StatusOr<ServerCore::Cut> cut = NotFoundError("nothing is held");
  Held held;
  {
    MutexLock lock(&mutex_);
    cut = core_->CutNow();
    held.base_step = core_->base_step();
  }
  RETURN_IF_ERROR(cut.status());
  held.run = cut->run;
  held.step = cut->step;
  held.marks = std::move(cut->marks);
  const Status status = write(held, cut->snapshot.get());
  cut->snapshot = nullptr;
  return status;
}

// Gives the cuts that were just taken to the thread that writes them.
void ParameterServer::StartWriting() {
  for (ServerCore::Cut& taken : core_->TakeCuts()) {
    const auto cut = std::make_shared<ServerCore::Cut>(std::move(taken));
    jobs_.Add([this, cut](bool stopping) {
      StatusOr<std::string> part =
          MakeStatus(absl::StatusCode::kUnavailable, "the server is going");
      const std::chrono::microseconds start = core_->now();
      if (!stopping) {
        part = LocalFault(
            core_->storage().write(cut->prefix, cut->step, cut->marks, std::move(cut->snapshot)));
      }
      cut->snapshot = nullptr;
      Answers answers;
      {
        MutexLock lock(&mutex_);
        if (part.ok()) core_->CountWriting(core_->now() - start);
        core_->CutWritten(*cut, part, &answers);
      }
      answers.Send();
    });
  }
}

const Sharding& ParameterServer::sharding() const { return core_->sharding(); }

bool ParameterServer::ended() const {
  MutexLock lock(&mutex_);
  return core_->ended();
}

RunId ParameterServer::run() const {
  MutexLock lock(&mutex_);
  return core_->run();
}

ParameterServer::Statistics ParameterServer::statistics() const {
  MutexLock lock(&mutex_);
  return core_->statistics();
}

}  // namespace capstan
