// Where a Kubernetes API server is and who we are: from kubeconfig files, or inside a pod.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "net/exec_credential.h"
#include "net/http_client.h"

namespace capstan {

struct KubeConnection {
  std::string server;          // "https://host:6443", perhaps with a path; no slash at the end
  HttpClientOptions http;      // TLS, proxy
  std::string namespace_name;  // "default" if nothing says otherwise
  std::string source;          // for messages: "context dev of /home/me/.kube/config"
  // One of these, or a certificate in http.tls, or nothing.
  std::string token;
  std::string token_file;  // read again each minute, and when the server refuses it
  std::optional<ExecPlugin> exec;
  std::string username, password;
};

struct KubeconfigOptions {
  std::string path;            // "": KUBECONFIG's list, else ~/.kube/config, else the pod's own
  std::string context;         // "": the current one
  std::string namespace_name;  // "": the context's
  // A variable of the environment, "" if it is not set: KUBECONFIG, HOME,
  // KUBERNETES_SERVICE_HOST/_PORT, HTTPS_PROXY, NO_PROXY (and in lower case).
  std::function<std::string(const std::string&)> environment = [](const std::string&) {
    return std::string();
  };
};

// As kubectl: of several files the first that says something counts, files of the list that are not
// there are passed over, relative paths are the file's. Fields that we do not know are left alone.
StatusOr<KubeConnection> LoadKubeconfig(FileSystem& fs, const KubeconfigOptions& options);

// The words behind "Authorization: " of a connection, kept as long as they are good. One thread.
class KubeCredentials {
 public:
  // Both must outlive it.
  KubeCredentials(const KubeConnection* connection, FileSystem* fs, Clock* clock)
      : connection_(connection), fs_(fs), clock_(clock) {}

  // "" where a certificate or nothing is shown. A plugin's certificate is put into `*tls`.
  StatusOr<std::string> Authorization(HttpTls* tls);
  // The server has refused what we showed. Whether asking again may help.
  bool Refresh();

 private:
  const KubeConnection* const connection_;
  FileSystem* const fs_;
  Clock* const clock_;
  std::string token_;
  std::chrono::microseconds token_read_{0};
  std::optional<ExecCredential> credential_;
};

}  // namespace capstan
