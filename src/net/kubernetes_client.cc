#include "net/kubernetes_client.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "net/field_loss.h"
#include "net/json_fields-inl.h"

namespace capstan {
namespace {

using Json = nlohmann::json;

constexpr int kPageSize = 500;
constexpr int kMaxAttempts = 6;
constexpr std::chrono::milliseconds kMaxPatience{60'000};
constexpr char kAggregated[] =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

Json Parse(const std::string& text) { return Json::parse(text, nullptr, false); }

absl::StatusCode CodeOf(int http_status, const std::string& reason) {
  switch (http_status) {
    case 400:
    case 422:
      return absl::StatusCode::kInvalidArgument;
    case 401:
      return absl::StatusCode::kUnauthenticated;
    case 403:
      return absl::StatusCode::kPermissionDenied;
    case 404:
      return absl::StatusCode::kNotFound;
    case 409:
      return reason == "AlreadyExists" ? absl::StatusCode::kAlreadyExists
                                       : absl::StatusCode::kAborted;
    case 410:
      return absl::StatusCode::kOutOfRange;
    case 429:
      return absl::StatusCode::kResourceExhausted;
    case 502:
    case 503:
    case 504:
      return absl::StatusCode::kUnavailable;
    default:
      return http_status >= 500 ? absl::StatusCode::kInternal
                                : absl::StatusCode::kFailedPrecondition;
  }
}

// How long to wait before the next attempt; 0: the reply stands.
std::chrono::milliseconds RetryAfter(const HttpReply& reply, int attempt) {
  if (reply.status != 429 && reply.status != 503 && reply.status != 504) return {};
  const std::string text(reply.Header("retry-after"));
  const long seconds = std::strtol(text.c_str(), nullptr, 10);
  if (seconds > 0) return std::chrono::seconds(std::min(seconds, 3600L));
  return std::chrono::milliseconds(500) * (1 << attempt);
}

std::string LogTarget(const PodLogQuery& query, const std::string& namespace_name) {
  std::string target = fmt::format("/api/v1/namespaces/{}/pods/{}/log?container={}", namespace_name,
                                   query.pod, PercentEncode(query.container));
  if (query.follow) target += "&follow=true";
  if (query.previous) target += "&previous=true";
  if (query.timestamps) target += "&timestamps=true";
  if (!query.since.empty()) target += "&sinceTime=" + PercentEncode(query.since);
  if (query.tail_lines >= 0) target += fmt::format("&tailLines={}", query.tail_lines);
  return target;
}

ObjectName NameIn(const Json& object) {
  const Json metadata = object.is_object() ? object.value("metadata", Json()) : Json();
  return {TextAt(object, "apiVersion"), TextAt(object, "kind"), TextAt(metadata, "name"),
          TextAt(metadata, "namespace")};
}

Status LossError(const std::string& what, const KubernetesVersion& version,
                 const std::vector<std::string>& lost) {
  std::vector<std::string> parts;
  for (const std::string& path : lost) {
    const std::string since = VersionOfField(path);
    parts.push_back(since.empty() ? path : fmt::format("{} (of {})", path, since));
  }
  return MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      fmt::format("{}: server {} dropped {}", what, version.text, fmt::join(parts, ", ")));
}

}  // namespace

Status StatusOfReply(const std::string& what, const HttpReply& reply) {
  const Json status = Parse(reply.body);
  std::string message = TextAt(status, "message");
  if (message.empty()) {
    const std::string line = reply.body.substr(0, std::min<size_t>(reply.body.find('\n'), 200));
    message =
        fmt::format("the server answered {}{}{}", reply.status, line.empty() ? "" : ": ", line);
  }
  if (reply.status == 401) message = "the server does not accept our credentials: " + message;
  return MakeStatus(CodeOf(reply.status, TextAt(status, "reason")), what + ": " + message);
}

KubernetesClient::KubernetesClient(KubeConnection connection, KubernetesClientOptions options)
    : connection_(std::move(connection)),
      options_(std::move(options)),
      credentials_(&connection_, options_.fs, options_.clock),
      http_(connection_.http) {}

StatusOr<std::unique_ptr<KubernetesClient>> KubernetesClient::Connect(
    KubeConnection connection, KubernetesClientOptions options) {
  std::unique_ptr<KubernetesClient> client(
      new KubernetesClient(std::move(connection), std::move(options)));
  const std::string what = fmt::format("ask {} ({}) for its version", client->connection_.server,
                                       client->connection_.source);
  ASSIGN_OR_RETURN(const std::string body, client->Call(what, "GET", "/version"));
  const Json version = Parse(body);
  client->version_.text = TextAt(version, "gitVersion");
  // "36+" of some vendors.
  client->version_.major = std::atoi(TextAt(version, "major").c_str());
  client->version_.minor = std::atoi(TextAt(version, "minor").c_str());
  if (client->version_.major == 0) return Error("{}: this is no Kubernetes API server", what);
  return client;
}

StatusOr<HttpRequest> KubernetesClient::MakeRequest(const std::string& method,
                                                    const std::string& target) {
  HttpRequest request{.method = method,
                      .url = connection_.server + target,
                      .headers = {{"Accept", "application/json"}, {"User-Agent", "capstan"}}};
  RETURN_IF_ERROR(Authorize(&request));
  return request;
}

Status KubernetesClient::Authorize(HttpRequest* request) {
  HttpTls tls = connection_.http.tls;
  ASSIGN_OR_RETURN(const std::string authorization, credentials_.Authorization(&tls));
  http_.SetTls(std::move(tls));
  std::erase_if(request->headers, [](const auto& h) { return h.first == "Authorization"; });
  if (!authorization.empty()) request->headers.emplace_back("Authorization", authorization);
  return OkStatus();
}

StatusOr<std::string> KubernetesClient::Call(const std::string& what, const std::string& method,
                                             const std::string& target) {
  ASSIGN_OR_RETURN(HttpRequest request, MakeRequest(method, target));
  return Call(what, std::move(request));
}

StatusOr<std::string> KubernetesClient::Call(const std::string& what, HttpRequest request) {
  std::chrono::milliseconds waited{0};
  bool refreshed = false;
  for (int attempt = 0;; ++attempt) {
    const StatusOr<HttpReply> reply = http_.Send(request);
    if (reply.ok() && reply->ok()) return reply->body;
    std::chrono::milliseconds wait{0};
    if (!reply.ok()) {
      if (reply.status().code() == absl::StatusCode::kUnavailable && attempt < 2) {
        wait = std::chrono::milliseconds(250 << attempt);
      }
    } else if (reply->status == 401 && !refreshed && credentials_.Refresh()) {
      refreshed = true;
      RETURN_IF_ERROR(Authorize(&request));
      continue;
    } else if (attempt + 1 < kMaxAttempts) {
      wait = RetryAfter(*reply, attempt);
    }
    if (wait.count() == 0 || waited + wait > kMaxPatience) {
      return reply.ok() ? StatusOfReply(what, *reply) : Annotate(reply.status(), what);
    }
    waited += wait;
    if (options_.sleep) options_.sleep(wait);
  }
}

Status KubernetesClient::Discover(const std::string& api_version) {
  if (!asked_for_groups_) {
    asked_for_groups_ = true;
    bool complete = true;
    for (const char* path : {"/api", "/apis"}) {
      ASSIGN_OR_RETURN(HttpRequest request, MakeRequest("GET", path));
      request.headers[0].second = kAggregated;
      ASSIGN_OR_RETURN(const std::string body, Call("ask for the API groups", std::move(request)));
      ASSIGN_OR_RETURN(const bool aggregated, resources_.AddAggregated(body));
      complete = complete && aggregated;
    }
    if (complete) resources_.set_complete();
  }
  if (resources_.Knows(api_version)) return OkStatus();
  const StatusOr<std::string> body = Call("ask for " + api_version, "GET", ApiPath(api_version));
  if (!body.ok() && body.status().code() != absl::StatusCode::kNotFound) return body.status();
  return resources_.AddGroupVersion(api_version, body.ok() ? *body : "");
}

StatusOr<const ApiResource*> KubernetesClient::FindResource(const std::string& api_version,
                                                            const std::string& kind) {
  RETURN_IF_ERROR(Discover(api_version));
  const ApiResource* resource = resources_.Find(api_version, kind);
  if (resource != nullptr) return resource;
  return MakeStatus(absl::StatusCode::kUnimplemented,
                    fmt::format("server {} has no {} of {}", version_.text, kind, api_version));
}

StatusOr<bool> KubernetesClient::Has(const std::string& api_version, const std::string& kind) {
  RETURN_IF_ERROR(Discover(api_version));
  return resources_.Find(api_version, kind) != nullptr;
}

StatusOr<std::string> KubernetesClient::PathOf(const ObjectName& name) {
  ASSIGN_OR_RETURN(const ApiResource* resource, FindResource(name.api_version, name.kind));
  return resource->Path(NamespaceOr(name.namespace_name), name.name);
}

StatusOr<std::string> KubernetesClient::Apply(const std::string& object,
                                              const ApplyOptions& options) {
  const ObjectName name = NameIn(Parse(object));
  if (name.name.empty()) return Error("apply: an object without a name");
  const std::string what = fmt::format("apply {} {}", name.kind, name.name);
  ASSIGN_OR_RETURN(std::string target, PathOf(name));
  target += "?fieldValidation=Strict&fieldManager=" + options_.field_manager;
  if (options.dry_run) target += "&dryRun=All";
  if (options.force) target += "&force=true";
  ASSIGN_OR_RETURN(HttpRequest request, MakeRequest("PATCH", target));
  // JSON is YAML.
  request.headers.emplace_back("Content-Type", "application/apply-patch+yaml");
  request.body = object;
  ASSIGN_OR_RETURN(std::string returned, Call(what, std::move(request)));
  ASSIGN_OR_RETURN(const std::vector<std::string> lost, LostFields(object, returned));
  if (!lost.empty()) return LossError(what, version_, lost);
  return returned;
}

StatusOr<std::string> KubernetesClient::Create(const std::string& object) {
  ObjectName name = NameIn(Parse(object));
  const std::string what = fmt::format("create {} {}", name.kind, name.name);
  name.name.clear();
  ASSIGN_OR_RETURN(std::string target, PathOf(name));
  target += "?fieldValidation=Strict&fieldManager=" + options_.field_manager;
  ASSIGN_OR_RETURN(HttpRequest request, MakeRequest("POST", target));
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = object;
  return Call(what, std::move(request));
}

StatusOr<std::string> KubernetesClient::Get(const ObjectName& name) {
  ASSIGN_OR_RETURN(const std::string path, PathOf(name));
  return Call(fmt::format("get {} {}", name.kind, name.name), "GET", path);
}

StatusOr<KubernetesClient::ListResult> KubernetesClient::List(const std::string& api_version,
                                                              const std::string& kind,
                                                              const std::string& selector,
                                                              const std::string& namespace_name,
                                                              const std::string& field_selector) {
  ASSIGN_OR_RETURN(const ApiResource* resource, FindResource(api_version, kind));
  std::string first =
      fmt::format("{}?limit={}", resource->Path(NamespaceOr(namespace_name)), kPageSize);
  if (!selector.empty()) first += "&labelSelector=" + PercentEncode(selector);
  if (!field_selector.empty()) first += "&fieldSelector=" + PercentEncode(field_selector);
  ListResult result;
  std::string target = first;
  for (bool restarted = false;;) {
    const StatusOr<std::string> body = Call("list " + resource->plural, "GET", target);
    if (!body.ok() && body.status().code() == absl::StatusCode::kOutOfRange && !restarted) {
      // The list has grown too old between two pages.
      restarted = true;
      result = {};
      target = first;
      continue;
    }
    if (!body.ok()) return body.status();
    Json list = Parse(*body);
    if (!list.is_object()) return Error("list {}: the reply is no JSON", resource->plural);
    for (Json& item : list["items"]) {
      item["apiVersion"] = api_version;  // lists leave it out
      item["kind"] = kind;
      result.objects.push_back(item.dump());
    }
    result.resource_version = TextAt(list["metadata"], "resourceVersion");
    const std::string next = TextAt(list["metadata"], "continue");
    if (next.empty()) return result;
    target = first + "&continue=" + PercentEncode(next);
  }
}

Status KubernetesClient::Delete(const ObjectName& name, const DeleteOptions& options) {
  ASSIGN_OR_RETURN(const std::string path, PathOf(name));
  ASSIGN_OR_RETURN(HttpRequest request, MakeRequest("DELETE", path));
  Json body = {
      {"kind", "DeleteOptions"}, {"apiVersion", "v1"}, {"propagationPolicy", options.propagation}};
  if (!options.uid.empty()) body["preconditions"] = {{"uid", options.uid}};
  request.headers.emplace_back("Content-Type", "application/json");
  request.body = body.dump();
  return Call(fmt::format("delete {} {}", name.kind, name.name), std::move(request)).status();
}

StatusOr<std::string> KubernetesClient::Patch(const ObjectName& name, const std::string& patch) {
  ASSIGN_OR_RETURN(const std::string path, PathOf(name));
  ASSIGN_OR_RETURN(HttpRequest request,
                   MakeRequest("PATCH", path + "?fieldManager=" + options_.field_manager));
  request.headers.emplace_back("Content-Type", "application/merge-patch+json");
  request.body = patch;
  return Call(fmt::format("change {} {}", name.kind, name.name), std::move(request));
}

StatusOr<std::string> KubernetesClient::ReadLog(const PodLogQuery& query,
                                                const std::string& namespace_name) {
  return Call("read the log of " + query.pod, "GET", LogTarget(query, NamespaceOr(namespace_name)));
}

StatusOr<bool> KubernetesClient::MayI(const std::string& verb, const std::string& group,
                                      const std::string& resource,
                                      const std::string& namespace_name) {
  const size_t slash = resource.find('/');
  Json attributes = {{"namespace", NamespaceOr(namespace_name)},
                     {"verb", verb},
                     {"group", group},
                     {"resource", resource.substr(0, slash)}};
  if (slash != std::string::npos) attributes["subresource"] = resource.substr(slash + 1);
  const Json review = {{"apiVersion", "authorization.k8s.io/v1"},
                       {"kind", "SelfSubjectAccessReview"},
                       {"spec", {{"resourceAttributes", attributes}}}};
  ASSIGN_OR_RETURN(const std::string reply, Create(review.dump()));
  const Json status = Parse(reply).value("status", Json::object());
  return status.is_object() && status.value("allowed", Json(false)) == true;
}

StatusOr<HttpRequest> KubernetesClient::LogRequest(const PodLogQuery& query,
                                                   const std::string& namespace_name) {
  ASSIGN_OR_RETURN(HttpRequest request,
                   MakeRequest("GET", LogTarget(query, NamespaceOr(namespace_name))));
  if (query.follow) request.timeout = std::chrono::milliseconds(0);
  return request;
}

StatusOr<HttpRequest> KubernetesClient::WatchRequest(const std::string& api_version,
                                                     const std::string& kind,
                                                     const std::string& selector,
                                                     const std::string& namespace_name,
                                                     const std::string& resource_version) {
  ASSIGN_OR_RETURN(const ApiResource* resource, FindResource(api_version, kind));
  // The server ends it after five minutes; a minute more, and the connection is dead.
  ASSIGN_OR_RETURN(
      HttpRequest request,
      MakeRequest("GET", fmt::format("{}?watch=true&allowWatchBookmarks=true&timeoutSeconds=300"
                                     "&labelSelector={}&resourceVersion={}",
                                     resource->Path(NamespaceOr(namespace_name)),
                                     PercentEncode(selector), PercentEncode(resource_version))));
  request.timeout = std::chrono::minutes(6);
  return request;
}

int KubernetesClient::Start(HttpRequest request, HttpClient::DoneFunction done) {
  return http_.Start(std::move(request), std::move(done));
}

}  // namespace capstan
