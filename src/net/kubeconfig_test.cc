#include "net/kubeconfig.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "net/base64.h"

namespace capstan {
namespace {

bool Contains(const Status& status, const std::string& part) {
  return Message(status).find(part) != std::string::npos;
}

class KubeconfigTest : public testing::Test {
 protected:
  KubeconfigTest() {
    folder_ = testing::TempDir() + "/kubeconfig_test";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    options_.environment = [this](const std::string& name) { return environment_[name]; };
  }
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  StatusOr<KubeConnection> Load() { return LoadKubeconfig(*fs_, options_); }

  const std::unique_ptr<FileSystem> fs_ = NewLocalFileSystem();
  std::string folder_;
  std::map<std::string, std::string> environment_;
  KubeconfigOptions options_;
  ManualClock clock_;
};

constexpr char kConfig[] = R"(
apiVersion: v1
kind: Config
clusters:
- name: one
  cluster: {server: "https://one:6443/", certificate-authority: ca.crt, tls-server-name: api,
            proxy-url: "http://proxy:3128", extensions: []}
- name: two
  cluster: {server: "https://two:6443", insecure-skip-tls-verify: true}
users:
- name: cert
  user: {client-certificate-data: Y2VydA==, client-key-data: a2V5}
- name: token
  user: {token: sesame}
- name: nobody
  user: {}
contexts:
- name: a
  context: {cluster: one, user: cert, namespace: clicks}
- name: b
  context: {cluster: two, user: token}
- name: c
  context: {cluster: two, user: ghost}
current-context: a
)";

TEST_F(KubeconfigTest, ContextClusterAndUser) {
  Write("ca.crt", "authority");
  options_.path = Write("config", kConfig);
  auto connection = Load();
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->server, "https://one:6443");
  EXPECT_EQ(connection->namespace_name, "clicks");
  EXPECT_EQ(connection->http.tls.ca_file, folder_ + "/ca.crt");
  EXPECT_EQ(connection->http.tls.cert, "cert");
  EXPECT_EQ(connection->http.tls.key, "key");
  EXPECT_EQ(connection->http.tls.server_name, "api");
  EXPECT_EQ(connection->http.proxy, "http://proxy:3128");
  EXPECT_EQ(connection->source, "context a of " + options_.path);

  options_.context = "b";
  options_.namespace_name = "mine";
  environment_["HTTPS_PROXY"] = "http://other";
  environment_["no_proxy"] = "two";
  connection = Load();
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->namespace_name, "mine");
  EXPECT_TRUE(connection->http.tls.insecure);
  EXPECT_EQ(connection->http.proxy, "http://other");
  EXPECT_EQ(connection->http.no_proxy, "two");
  HttpTls tls;
  KubeCredentials credentials(&*connection, fs_.get(), &clock_);
  EXPECT_EQ(*credentials.Authorization(&tls), "Bearer sesame");
  EXPECT_FALSE(credentials.Refresh());
}

TEST_F(KubeconfigTest, WhatIsMissingIsNamed) {
  Write("ca.crt", "authority");
  options_.path = Write("config", kConfig);
  options_.context = "z";
  EXPECT_TRUE(Contains(Load().status(), "there is no context \"z\""));
  options_.context = "c";
  EXPECT_TRUE(Contains(Load().status(), "there is no user \"ghost\"")) << Load().status();
  std::filesystem::remove(folder_ + "/ca.crt");
  options_.context = "a";
  EXPECT_TRUE(Contains(Load().status(), "there is no file " + folder_ + "/ca.crt"));
  options_.path = folder_ + "/gone";
  EXPECT_FALSE(Load().ok());
  options_.path = "";
  EXPECT_TRUE(Contains(Load().status(), "no Kubernetes cluster is known"));
  options_.path = Write("config",
                        "clusters: [{name: x, cluster: {server: host}}]\ncontexts: "
                        "[{name: x, context: {cluster: x}}]\ncurrent-context: x\n");
  options_.context = "";
  EXPECT_TRUE(Contains(Load().status(), "server is \"host\", wanted a URL")) << Load().status();
}

TEST_F(KubeconfigTest, FilesOfAListAreJoinedTheFirstWins) {
  std::filesystem::create_directories(folder_ + "/sub");
  const std::string first = Write("first",
                                  "current-context: x\n"
                                  "contexts: [{name: x, context: {cluster: k, user: u}}]\n"
                                  "users: [{name: u, user: {tokenFile: token}}]\n");
  const std::string second = Write("sub/second",
                                   "current-context: y\n"
                                   "clusters: [{name: k, cluster: {server: 'http://k'}}]\n"
                                   "users: [{name: u, user: {token: no}}]\n");
  environment_["KUBECONFIG"] = folder_ + "/gone:" + first + ":" + second;
  auto connection = Load();
  ASSERT_TRUE(connection.ok()) << connection.status();
  EXPECT_EQ(connection->server, "http://k");
  EXPECT_EQ(connection->namespace_name, "default");
  EXPECT_EQ(connection->token_file, folder_ + "/token");

  Write("token", "t1\n");
  HttpTls tls;
  KubeCredentials credentials(&*connection, fs_.get(), &clock_);
  EXPECT_EQ(*credentials.Authorization(&tls), "Bearer t1");
  Write("token", "t2\n");
  EXPECT_EQ(*credentials.Authorization(&tls), "Bearer t1");
  clock_.Advance(std::chrono::minutes(1));
  EXPECT_EQ(*credentials.Authorization(&tls), "Bearer t2");
  Write("token", "t3\n");
  EXPECT_TRUE(credentials.Refresh());
  EXPECT_EQ(*credentials.Authorization(&tls), "Bearer t3");
}

class ExecTest : public KubeconfigTest {
 protected:
  // A program that counts its calls and writes `output`, in which $N is the call's number.
  KubeConnection Plugin(const std::string& output, const std::string& version = "v1") {
    const std::string path =
        Write("plugin", "#!/bin/sh\necho x >> " + folder_ + "/calls\nN=$(wc -l < " + folder_ +
                            "/calls)\ncat <<END\n" + output + "\nEND\n");
    chmod(path.c_str(), 0700);
    options_.path = Write("config", R"(
clusters: [{name: k, cluster: {server: "https://k", certificate-authority-data: Y2E=}}]
contexts: [{name: x, context: {cluster: k, user: u}}]
current-context: x
users:
- name: u
  user:
    exec:
      apiVersion: client.authentication.k8s.io/)" +
                                        version + R"(
      command: ./plugin
      args: [--a]
      env: [{name: WHO, value: me}]
      installHint: get it from the cloud
      provideClusterInfo: true
)");
    auto connection = Load();
    EXPECT_TRUE(connection.ok()) << connection.status();
    return connection.ok() ? *connection : KubeConnection{};
  }
  HttpTls tls_;
};

TEST_F(ExecTest, ATokenIsKeptUntilItExpires) {
  const KubeConnection connection = Plugin(
      R"({"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
          "status": {"token": "$WHO-$N", "expirationTimestamp": "1970-01-01T00:01:00Z"}})",
      "v1beta1");
  KubeCredentials credentials(&connection, fs_.get(), &clock_);
  EXPECT_EQ(*credentials.Authorization(&tls_), "Bearer me-1");
  clock_.Advance(std::chrono::seconds(50));
  EXPECT_EQ(*credentials.Authorization(&tls_), "Bearer me-1");
  clock_.Advance(std::chrono::seconds(6));
  EXPECT_EQ(*credentials.Authorization(&tls_), "Bearer me-2");
  EXPECT_TRUE(credentials.Refresh());
  EXPECT_EQ(*credentials.Authorization(&tls_), "Bearer me-3");
}

TEST_F(ExecTest, CertificatesAndTheClusterItIsToldOf) {
  const KubeConnection connection = Plugin(
      R"({"apiVersion": "client.authentication.k8s.io/v1", "status": {
          "clientCertificateData": "C", "clientKeyData": "K"}})");
  ASSERT_TRUE(connection.exec.has_value());
  EXPECT_NE(connection.exec->cluster_info.find("\"certificate-authority-data\":\"Y2E=\""),
            std::string::npos);
  KubeCredentials credentials(&connection, fs_.get(), &clock_);
  EXPECT_EQ(*credentials.Authorization(&tls_), "");
  EXPECT_EQ(tls_.cert, "C");
  EXPECT_EQ(tls_.key, "K");
}

TEST_F(ExecTest, BadPlugins) {
  KubeConnection connection = Plugin("secret words");
  const auto error = [&] {
    return KubeCredentials(&connection, fs_.get(), &clock_).Authorization(&tls_).status();
  };
  EXPECT_TRUE(Contains(error(), "plugin: did not write a JSON object")) << error();
  EXPECT_FALSE(Contains(error(), "secret"));
  connection = Plugin(R"({"apiVersion": "client.authentication.k8s.io/v1", "status": {}})");
  EXPECT_TRUE(Contains(error(), "neither a token nor a certificate")) << error();
  connection.exec->command = "/bin/false";
  EXPECT_TRUE(Contains(error(), "exited with code 1")) << error();
  connection.exec->command = "/no/such/program";
  EXPECT_TRUE(Contains(error(), "get it from the cloud")) << error();
  connection.exec->api_version = "client.authentication.k8s.io/v1alpha1";
  EXPECT_TRUE(Contains(error(), "known are")) << error();
}

TEST(Base64Test, BothWays) {
  for (const std::string text : {"", "a", "ab", "abc", "abcd", "\xff\x01\x80"}) {
    const auto back = DecodeBase64(EncodeBase64(text));
    ASSERT_TRUE(back.ok());
    EXPECT_EQ(*back, text);
  }
  EXPECT_EQ(*DecodeBase64("YW\n Jj"), "abc");
  for (const std::string text : {"a", "abc", "ab=c", "====", "!@#$"}) {
    EXPECT_FALSE(DecodeBase64(text).ok()) << text;
  }
}

}  // namespace
}  // namespace capstan
