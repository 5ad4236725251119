#include "net/kubeconfig.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/yaml.h"
#include "net/base64.h"

namespace capstan {
namespace {

constexpr char kPodFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";
constexpr uint64_t kMaxFileBytes = 4 << 20;
constexpr std::chrono::minutes kTokenAge{1};

struct ConfigFile {
  std::string path;
  YamlNode root;
};

std::vector<std::string> SplitList(const std::string& list) {
  std::vector<std::string> paths;
  for (size_t from = 0; from <= list.size();) {
    const size_t end = std::min(list.find(':', from), list.size());
    if (end > from) paths.push_back(list.substr(from, end - from));
    from = end + 1;
  }
  return paths;
}

// A relative path of a file is relative to the file.
std::string Resolve(const std::string& path, const ConfigFile& file) {
  return path.empty() || path[0] == '/' ? path : JoinPath(FolderOf(file.path), path);
}

class Loader {
 public:
  Loader(FileSystem& fs, const KubeconfigOptions& options) : fs_(fs), options_(options) {}

  StatusOr<KubeConnection> Load() {
    RETURN_IF_ERROR(ReadFiles());
    if (files_.empty()) return LoadInPod();
    RETURN_IF_ERROR(ChooseContext());
    std::string cluster, user;
    RETURN_IF_ERROR(context_["cluster"].Get(&cluster));
    RETURN_IF_ERROR(context_["user"].Get(&user));
    connection_.namespace_name = "default";
    RETURN_IF_ERROR(context_["namespace"].Get(&connection_.namespace_name));
    RETURN_IF_ERROR(LoadCluster(cluster));
    RETURN_IF_ERROR(LoadUser(user));
    return Finish();
  }

 private:
  std::string Env(const std::string& name) const { return options_.environment(name); }
  std::string EitherEnv(std::string name) const {
    std::string value = Env(name);
    if (!value.empty()) return value;
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return Env(name);
  }

  Status ReadFiles() {
    std::vector<std::string> paths = {options_.path};
    if (options_.path.empty()) {
      paths = SplitList(Env("KUBECONFIG"));
      if (paths.empty() && !Env("HOME").empty()) paths = {Env("HOME") + "/.kube/config"};
    }
    for (const std::string& path : paths) {
      if (options_.path.empty() && !fs_.Exists(path)) continue;
      ASSIGN_OR_RETURN(const std::string text, ReadFile(fs_, path, kMaxFileBytes));
      ASSIGN_OR_RETURN(YamlNode root, YamlNode::Parse(text, path));
      if (!root.is_map()) return Error("{}: this is no kubeconfig", path);
      files_.push_back({path, root});
    }
    searched_ = fmt::format("{}", fmt::join(paths, ", "));
    return OkStatus();
  }

  // The entry `name` of the list `list` in the first file that has it; its `field`.
  YamlNode Find(const std::string& list, const std::string& name, const std::string& field,
                const ConfigFile** file) const {
    for (const ConfigFile& candidate : files_) {
      for (const YamlNode& entry : candidate.root[list].elements()) {
        std::string entry_name;
        if (!entry["name"].Get(&entry_name).ok() || entry_name != name) continue;
        *file = &candidate;
        return entry[field];
      }
    }
    return {};
  }

  Status ChooseContext() {
    std::string name = options_.context;
    for (const ConfigFile& file : files_) {
      if (name.empty()) RETURN_IF_ERROR(file.root["current-context"].Get(&name));
    }
    if (name.empty()) return Error("{}: no current-context; name one", searched_);
    const ConfigFile* file = nullptr;
    context_ = Find("contexts", name, "context", &file);
    if (!context_.exists()) return NotFoundError("{}: there is no context \"{}\"", searched_, name);
    connection_.source = fmt::format("context {} of {}", name, file->path);
    return OkStatus();
  }

  // A file, or the same as base64 under "<key>-data", which counts if both are there.
  Status LoadPem(const YamlNode& node, const ConfigFile& file, const std::string& key,
                 std::string* path, std::string* pem) {
    RETURN_IF_ERROR(node[key].Get(path));
    *path = Resolve(*path, file);
    const YamlNode data = node[key + "-data"];
    std::string text;
    RETURN_IF_ERROR(data.Get(&text));
    const StatusOr<std::string> decoded = DecodeBase64(text);
    if (!decoded.ok()) return data.ErrorHere(key + "-data: " + Message(decoded.status()));
    *pem = *decoded;
    if (!pem->empty() || path->empty() || fs_.Exists(*path)) return OkStatus();
    return node[key].ErrorHere(fmt::format("{}: there is no file {}", key, *path));
  }

  Status LoadCluster(const std::string& name) {
    const ConfigFile* file = nullptr;
    const YamlNode node = Find("clusters", name, "cluster", &file);
    if (!node.exists()) {
      return NotFoundError("{}: there is no cluster \"{}\"", connection_.source, name);
    }
    RETURN_IF_ERROR(node["server"].Get(&connection_.server));
    while (connection_.server.ends_with('/')) connection_.server.pop_back();
    if (!connection_.server.starts_with("http://") && !connection_.server.starts_with("https://")) {
      return node.ErrorHere(
          fmt::format("cluster {}: server is \"{}\", wanted a URL", name, connection_.server));
    }
    HttpTls& tls = connection_.http.tls;
    RETURN_IF_ERROR(LoadPem(node, *file, "certificate-authority", &tls.ca_file, &tls.ca));
    RETURN_IF_ERROR(node["insecure-skip-tls-verify"].Get(&tls.insecure));
    RETURN_IF_ERROR(node["tls-server-name"].Get(&tls.server_name));
    return node["proxy-url"].Get(&connection_.http.proxy);
  }

  Status LoadUser(const std::string& name) {
    if (name.empty()) return OkStatus();
    const ConfigFile* file = nullptr;
    const YamlNode node = Find("users", name, "user", &file);
    if (file == nullptr) {
      return NotFoundError("{}: there is no user \"{}\"", connection_.source, name);
    }
    HttpTls& tls = connection_.http.tls;
    RETURN_IF_ERROR(LoadPem(node, *file, "client-certificate", &tls.cert_file, &tls.cert));
    RETURN_IF_ERROR(LoadPem(node, *file, "client-key", &tls.key_file, &tls.key));
    RETURN_IF_ERROR(node["token"].Get(&connection_.token));
    RETURN_IF_ERROR(node["tokenFile"].Get(&connection_.token_file));
    connection_.token_file = Resolve(connection_.token_file, *file);
    RETURN_IF_ERROR(node["username"].Get(&connection_.username));
    RETURN_IF_ERROR(node["password"].Get(&connection_.password));
    if (node["auth-provider"].exists()) {
      return node["auth-provider"].ErrorHere(
          "auth-provider is gone from Kubernetes since 1.26: use an exec plugin");
    }
    return node["exec"].exists() ? LoadExec(node["exec"], *file) : OkStatus();
  }

  Status LoadExec(const YamlNode& node, const ConfigFile& file) {
    ExecPlugin plugin;
    RETURN_IF_ERROR(node["apiVersion"].Get(&plugin.api_version));
    RETURN_IF_ERROR(node["command"].Get(&plugin.command));
    if (plugin.command.empty()) return node.ErrorHere("exec has no command");
    if (plugin.command.find('/') != std::string::npos) {
      plugin.command = Resolve(plugin.command, file);
    }
    RETURN_IF_ERROR(node["args"].Get(&plugin.args));
    for (const YamlNode& entry : node["env"].elements()) {
      auto& [name, value] = plugin.env.emplace_back();
      RETURN_IF_ERROR(entry["name"].Get(&name));
      RETURN_IF_ERROR(entry["value"].Get(&value));
    }
    RETURN_IF_ERROR(node["installHint"].Get(&plugin.install_hint));
    std::string mode = "Never";
    RETURN_IF_ERROR(node["interactiveMode"].Get(&mode));
    plugin.interactive = mode != "Never";
    bool with_cluster = false;
    RETURN_IF_ERROR(node["provideClusterInfo"].Get(&with_cluster));
    if (with_cluster) {
      ASSIGN_OR_RETURN(plugin.cluster_info, ClusterInfo());
    }
    connection_.exec = std::move(plugin);
    return OkStatus();
  }

  StatusOr<std::string> ClusterInfo() {
    const HttpTls& tls = connection_.http.tls;
    nlohmann::json info = {{"server", connection_.server}};
    if (tls.insecure) info["insecure-skip-tls-verify"] = true;
    if (!tls.server_name.empty()) info["tls-server-name"] = tls.server_name;
    if (!connection_.http.proxy.empty()) info["proxy-url"] = connection_.http.proxy;
    std::string ca = tls.ca;
    if (ca.empty() && !tls.ca_file.empty()) {
      ASSIGN_OR_RETURN(ca, ReadFile(fs_, tls.ca_file, kMaxFileBytes));
    }
    if (!ca.empty()) info["certificate-authority-data"] = EncodeBase64(ca);
    return info.dump();
  }

  StatusOr<KubeConnection> LoadInPod() {
    const std::string host = Env("KUBERNETES_SERVICE_HOST");
    const std::string port = Env("KUBERNETES_SERVICE_PORT");
    const std::string folder = kPodFolder;
    if (host.empty() || !fs_.Exists(folder + "/token")) {
      return NotFoundError("no Kubernetes cluster is known: {} is not there, and this is no pod",
                           searched_.empty() ? "a kubeconfig" : searched_);
    }
    const bool ip6 = host.find(':') != std::string::npos;
    connection_.server =
        fmt::format("https://{}:{}", ip6 ? "[" + host + "]" : host, port.empty() ? "443" : port);
    connection_.source = "this pod's service account";
    connection_.token_file = folder + "/token";
    connection_.http.tls.ca_file = folder + "/ca.crt";
    const StatusOr<std::string> own = ReadFile(fs_, folder + "/namespace", 1024);
    connection_.namespace_name = own.ok() ? *own : "default";
    return Finish();
  }

  KubeConnection Finish() {
    if (!options_.namespace_name.empty()) connection_.namespace_name = options_.namespace_name;
    if (connection_.http.proxy.empty()) {
      const bool tls = connection_.server.starts_with("https");
      connection_.http.proxy = EitherEnv(tls ? "HTTPS_PROXY" : "HTTP_PROXY");
      connection_.http.no_proxy = EitherEnv("NO_PROXY");
    }
    return connection_;
  }

  FileSystem& fs_;
  const KubeconfigOptions& options_;
  std::vector<ConfigFile> files_;
  std::string searched_;
  YamlNode context_;
  KubeConnection connection_;
};

std::string_view WithoutSpace(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

}  // namespace

StatusOr<KubeConnection> LoadKubeconfig(FileSystem& fs, const KubeconfigOptions& options) {
  return Loader(fs, options).Load();
}

StatusOr<std::string> KubeCredentials::Authorization(HttpTls* tls) {
  const KubeConnection& connection = *connection_;
  if (!connection.token.empty() && connection.token_file.empty()) {
    return "Bearer " + connection.token;
  }
  if (!connection.token_file.empty()) {
    if (token_.empty() || clock_->Monotonic() - token_read_ >= kTokenAge) {
      ASSIGN_OR_RETURN(const std::string text, ReadFile(*fs_, connection.token_file, 1 << 20));
      token_ = WithoutSpace(text);
      token_read_ = clock_->Monotonic();
    }
    return "Bearer " + token_;
  }
  if (connection.exec.has_value()) {
    const bool old = credential_.has_value() && credential_->expires_seconds > 0 &&
                     clock_->WallSeconds() > credential_->expires_seconds - 5;
    if (!credential_.has_value() || old) {
      ASSIGN_OR_RETURN(credential_, RunExecPlugin(*connection.exec));
    }
    if (!credential_->cert.empty()) {
      tls->cert = credential_->cert;
      tls->key = credential_->key;
    }
    return credential_->token.empty() ? "" : "Bearer " + credential_->token;
  }
  if (!connection.username.empty()) {
    return "Basic " + EncodeBase64(connection.username + ":" + connection.password);
  }
  return std::string();
}

bool KubeCredentials::Refresh() {
  if (connection_->token_file.empty() && !connection_->exec.has_value()) return false;
  token_.clear();
  credential_.reset();
  return true;
}

}  // namespace capstan
