// The Kubernetes API: objects as JSON text, errors as sentences.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "net/api_discovery.h"
#include "net/http_client.h"
#include "net/kubeconfig.h"

namespace capstan {

struct KubernetesVersion {
  int major = 0, minor = 0;
  std::string text;  // "v1.36.3"
  bool AtLeast(int wanted_minor) const {
    return major > 1 || (major == 1 && minor >= wanted_minor);
  }
};

struct ObjectName {
  std::string api_version;  // "batch/v1"
  std::string kind;         // "Job"
  std::string name;
  std::string namespace_name;  // "": the connection's, "*": all; unused for kinds without one
};

struct ApplyOptions {
  bool dry_run = false;
  bool force = false;  // takes fields from others that manage them
};

struct DeleteOptions {
  std::string propagation = "Background";  // or "Foreground", "Orphan"
  std::string uid;                         // delete only the object with this one; "": any
};

struct PodLogQuery {
  std::string pod, container;
  bool follow = false;
  bool previous = false;    // of the container before its restart
  int64_t tail_lines = -1;  // -1: all
  bool timestamps = false;  // each line begins with the time it was written, and a blank
  std::string since;        // not before this time, to the second
};

struct KubernetesClientOptions {
  FileSystem* fs = nullptr;  // both must outlive the client
  Clock* clock = nullptr;
  // Waits before another attempt.
  std::function<void(std::chrono::milliseconds)> sleep;
  std::string field_manager = "capstan";
};

// One thread at a time. Replies 429 and 503 are waited for and asked again as the server says, up
// to a minute; after 401 the credentials are read again, once. Codes of errors: kNotFound,
// kAlreadyExists, kAborted (conflict), kPermissionDenied, kUnauthenticated, kInvalidArgument,
// kOutOfRange (410 Gone), kUnavailable.
class KubernetesClient {
 public:
  // Asks for the version, so that a wrong address or a refused user is told here.
  static StatusOr<std::unique_ptr<KubernetesClient>> Connect(KubeConnection connection,
                                                             KubernetesClientOptions options);

  const KubernetesVersion& version() const { return version_; }
  const std::string& namespace_name() const { return connection_.namespace_name; }
  const std::string& source() const { return connection_.source; }

  // Whether the server has the kind.
  StatusOr<bool> Has(const std::string& api_version, const std::string& kind);

  // Server-side apply with strict validation; the object as it is then. A field that the server
  // has dropped is kFailedPrecondition and named, with the version that has it; a new object is
  // then there nevertheless.
  StatusOr<std::string> Apply(const std::string& object, const ApplyOptions& options = {});
  StatusOr<std::string> Create(const std::string& object);
  StatusOr<std::string> Get(const ObjectName& name);
  // All objects, in pages; `selector`: labels, "" for all.
  struct ListResult {
    std::vector<std::string> objects;
    std::string resource_version;
  };
  StatusOr<ListResult> List(const std::string& api_version, const std::string& kind,
                            const std::string& selector, const std::string& namespace_name = "",
                            const std::string& field_selector = "");
  Status Delete(const ObjectName& name, const DeleteOptions& options = {});
  // A merge patch (RFC 7386).
  StatusOr<std::string> Patch(const ObjectName& name, const std::string& patch);
  StatusOr<std::string> ReadLog(const PodLogQuery& query, const std::string& namespace_name = "");
  // May we do this? `resource`: "jobs", "pods/log".
  StatusOr<bool> MayI(const std::string& verb, const std::string& group,
                      const std::string& resource, const std::string& namespace_name = "");

  // Streams: requests for Start, with today's credentials.
  StatusOr<HttpRequest> LogRequest(const PodLogQuery& query,
                                   const std::string& namespace_name = "");
  StatusOr<HttpRequest> WatchRequest(const std::string& api_version, const std::string& kind,
                                     const std::string& selector, const std::string& namespace_name,
                                     const std::string& resource_version);
  int Start(HttpRequest request, HttpClient::DoneFunction done);
  void Cancel(int id) { http_.Cancel(id); }
  void Poll(std::chrono::milliseconds timeout) { http_.Poll(timeout); }
  // A stream was answered with 401: other credentials for the next, if there are any.
  void RefreshCredentials() { credentials_.Refresh(); }
  Clock& clock() const { return *options_.clock; }

 private:
  KubernetesClient(KubeConnection connection, KubernetesClientOptions options);

  StatusOr<HttpRequest> MakeRequest(const std::string& method, const std::string& target);
  // Shows who we are, in place of what the request showed before.
  Status Authorize(HttpRequest* request);
  // `what` begins errors: "apply Job clicks-worker".
  StatusOr<std::string> Call(const std::string& what, HttpRequest request);
  StatusOr<std::string> Call(const std::string& what, const std::string& method,
                             const std::string& target);
  StatusOr<const ApiResource*> FindResource(const std::string& api_version,
                                            const std::string& kind);
  Status Discover(const std::string& api_version);
  StatusOr<std::string> PathOf(const ObjectName& name);
  std::string NamespaceOr(const std::string& name) const {
    if (name == "*") return "";
    return name.empty() ? connection_.namespace_name : name;
  }

  const KubeConnection connection_;
  const KubernetesClientOptions options_;
  KubeCredentials credentials_;
  HttpClient http_;
  KubernetesVersion version_;
  ApiResources resources_;
  bool asked_for_groups_ = false;
};

// The sentence and the code of an error reply: a `Status` object, or some text.
Status StatusOfReply(const std::string& what, const HttpReply& reply);

}  // namespace capstan
