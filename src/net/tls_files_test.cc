#include "net/tls_files.h"

#include <gtest/gtest.h>

#include "base/memory_file_system.h"
#include "net/test_authority.h"

namespace capstan {
namespace {

class TlsFilesTest : public testing::Test {
 protected:
  void Write(const TlsPems& pems) {
    ASSERT_TRUE(WriteFileAtomically(fs_, files_.cert, pems.cert).ok());
    ASSERT_TRUE(WriteFileAtomically(fs_, files_.key, pems.key).ok());
    ASSERT_TRUE(WriteFileAtomically(fs_, files_.ca, pems.ca).ok());
  }
  std::string Refusal() {
    auto pems = LoadTls(fs_, files_);
    return pems.ok() ? "" : Message(pems.status());
  }
  void ExpectRefusal(const std::string& part) {
    EXPECT_NE(Refusal().find(part), std::string::npos) << "found: " << Refusal();
  }

  MemoryFileSystem fs_;
  const TlsFiles files_{.cert = "task.crt", .key = "task.key", .ca = "ca.crt"};
  const TestAuthority authority_{"ours"};
  const TlsPems good_ = authority_.Issue("DNS:localhost");
};

TEST_F(TlsFilesTest, Good) {
  Write(good_);
  auto pems = LoadTls(fs_, files_);
  ASSERT_TRUE(pems.ok()) << pems.status();
  EXPECT_EQ(pems->cert, good_.cert);
  EXPECT_EQ(pems->key, good_.key);
  EXPECT_EQ(pems->ca, good_.ca);
}

TEST_F(TlsFilesTest, OneOfSeveralAuthorities) {
  TlsPems pems = good_;
  pems.ca = TestAuthority("another").certificate() + good_.ca;
  Write(pems);
  EXPECT_EQ(Refusal(), "");
}

TEST_F(TlsFilesTest, AllThreeAreWanted) {
  auto pems = LoadTls(fs_, {.cert = "task.crt", .ca = "ca.crt"});
  ASSERT_FALSE(pems.ok());
  EXPECT_NE(Message(pems.status()).find("key ''"), std::string::npos);
}

TEST_F(TlsFilesTest, MissingFiles) {
  Write(good_);
  for (const auto& path : {files_.cert, files_.key, files_.ca}) {
    auto content = ReadFile(fs_, path);
    ASSERT_TRUE(fs_.Remove(path).ok());
    ExpectRefusal(path);
    ASSERT_TRUE(WriteFileAtomically(fs_, path, *content).ok());
  }
  EXPECT_EQ(Refusal(), "");
}

TEST_F(TlsFilesTest, WhatIsNotPem) {
  for (int which = 0; which < 3; ++which) {
    TlsPems pems = good_;
    (which == 0 ? pems.cert : which == 1 ? pems.key : pems.ca) = "secret text";
    Write(pems);
    ExpectRefusal(which == 0 ? "task.crt" : which == 1 ? "task.key" : "ca.crt");
    EXPECT_EQ(Refusal().find("secret"), std::string::npos);
  }
}

TEST_F(TlsFilesTest, DamagedSecondCertificate) {
  TlsPems pems = good_;
  pems.ca += good_.ca.substr(0, good_.ca.size() / 2);
  Write(pems);
  ExpectRefusal("damaged");
}

TEST_F(TlsFilesTest, KeyOfAnother) {
  TlsPems pems = good_;
  pems.key = authority_.Issue("DNS:localhost").key;
  Write(pems);
  ExpectRefusal("task.key does not belong to the certificate task.crt");
}

TEST_F(TlsFilesTest, AnotherAuthority) {
  TlsPems pems = good_;
  pems.ca = TestAuthority("another").certificate();
  Write(pems);
  ExpectRefusal("task.crt is not vouched for by ca.crt");
}

TEST_F(TlsFilesTest, Expired) {
  Write(authority_.Issue("DNS:localhost", -2));
  ExpectRefusal("expired");
}

}  // namespace
}  // namespace capstan
