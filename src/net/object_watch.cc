#include "net/object_watch.h"

#include <algorithm>
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

std::string MetadataOf(const Json& object, const char* key) {
  return TextAt(At(object, "metadata"), key);
}

}  // namespace

ObjectWatch::ObjectWatch(KubernetesClient* client, std::string api_version, std::string kind,
                         std::string selector, std::string namespace_name)
    : client_(client),
      api_version_(std::move(api_version)),
      kind_(std::move(kind)),
      selector_(std::move(selector)),
      namespace_(std::move(namespace_name)) {}

ObjectWatch::~ObjectWatch() {
  if (stream_ != 0) client_->Cancel(stream_);
}

Status ObjectWatch::Advance() {
  RETURN_IF_ERROR(refused_);
  if (stream_ != 0 || client_->clock().Monotonic() < next_attempt_) return OkStatus();
  if (resource_version_.empty()) {
    ASSIGN_OR_RETURN(const auto list, client_->List(api_version_, kind_, selector_, namespace_));
    std::map<std::string, std::string> objects;
    for (const std::string& text : list.objects) {
      objects[MetadataOf(Json::parse(text, nullptr, false), "name")] = text;
    }
    changed_ = changed_ || objects != objects_;
    objects_ = std::move(objects);
    resource_version_ = list.resource_version;
  }
  ASSIGN_OR_RETURN(HttpRequest request, client_->WatchRequest(api_version_, kind_, selector_,
                                                              namespace_, resource_version_));
  line_.clear();
  request.on_body = [this](std::string_view bytes) {
    TakeBytes(bytes);
    return true;
  };
  stream_ = client_->Start(std::move(request), [this](StatusOr<HttpReply> reply) { End(reply); });
  return OkStatus();
}

bool ObjectWatch::TakeChanged() { return std::exchange(changed_, false); }

void ObjectWatch::TakeBytes(std::string_view bytes) {
  for (size_t from = 0; from < bytes.size();) {
    const size_t end = bytes.find('\n', from);
    line_ += bytes.substr(from, end - from);
    if (end == std::string_view::npos) return;
    TakeEvent(line_);
    line_.clear();
    from = end + 1;
  }
}

void ObjectWatch::TakeEvent(const std::string& line) {
  const Json event = Json::parse(line, nullptr, false);
  if (!event.is_object() || !event.contains("object")) return;
  const Json& object = event["object"];
  const Json type = event.value("type", Json());
  if (type == "ERROR") {
    resource_version_.clear();  // 410 in most cases: the list tells what else it may be
    return;
  }
  failures_ = 0;
  const std::string version = MetadataOf(object, "resourceVersion");
  if (!version.empty() && !resource_version_.empty()) resource_version_ = version;
  if (type == "BOOKMARK") return;
  const std::string name = MetadataOf(object, "name");
  if (type == "DELETED") {
    changed_ = objects_.erase(name) > 0 || changed_;
  } else {
    objects_[name] = object.dump();
    changed_ = true;
  }
}

void ObjectWatch::End(const StatusOr<HttpReply>& reply) {
  stream_ = 0;
  if (reply.ok() && reply->ok()) return;  // its time was over: go on at once
  if (reply.ok() && reply->status == 410) {
    resource_version_.clear();
    return;
  }
  if (reply.ok() && reply->status == 401) client_->RefreshCredentials();
  ++failures_;
  if (reply.ok() && (reply->status == 403 || (reply->status == 401 && failures_ > 1))) {
    refused_ = StatusOfReply("watch " + kind_, *reply);
  }
  const auto wait = std::chrono::milliseconds(250) * (1 << std::min(failures_, 7));
  next_attempt_ = client_->clock().Monotonic() + wait;
}

}  // namespace capstan
