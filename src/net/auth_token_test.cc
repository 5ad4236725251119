#include "net/auth_token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace capstan {
namespace {

std::string WriteToken(const std::string& content, mode_t mode) {
  const std::string path = testing::TempDir() + "/token";
  auto fs = NewLocalFileSystem();
  EXPECT_TRUE(WriteFileAtomically(*fs, path, content).ok());
  EXPECT_EQ(chmod(path.c_str(), mode), 0);
  return path;
}

TEST(AuthTokenTest, ReadsOneLine) {
  auto fs = NewLocalFileSystem();
  auto file = ReadAuthToken(*fs, WriteToken("  0123456789abcdef\r\n", 0600));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->token.secret(), "0123456789abcdef");
  EXPECT_TRUE(file->warnings.empty());
}

TEST(AuthTokenTest, WarnsOfOpenFilesAndShortTokens) {
  auto fs = NewLocalFileSystem();
  auto file = ReadAuthToken(*fs, WriteToken("short", 0644));
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->warnings.size(), 2u);
  for (const auto& warning : file->warnings) {
    EXPECT_EQ(warning.find(" short\n"), std::string::npos);
    EXPECT_NE(warning.find("/token"), std::string::npos);
  }
}

TEST(AuthTokenTest, RefusesWithoutShowingTheContent) {
  auto fs = NewLocalFileSystem();
  for (const char* content : {"", "\n\n", "two words-secret", "tab\tsecret", "sm\xc3\xb8rsecret"}) {
    auto file = ReadAuthToken(*fs, WriteToken(content, 0600));
    ASSERT_FALSE(file.ok()) << content;
    EXPECT_NE(Message(file.status()).find("/token"), std::string::npos);
    EXPECT_EQ(Message(file.status()).find("secret"), std::string::npos);
  }
  EXPECT_FALSE(ReadAuthToken(*fs, WriteToken(std::string(5000, 'a'), 0600)).ok());
  EXPECT_EQ(ReadAuthToken(*fs, "/no/such/token").status().code(), absl::StatusCode::kNotFound);
}

TEST(AuthTokenTest, Matches) {
  const AuthToken token("0123456789abcdef");
  EXPECT_TRUE(token.Matches("0123456789abcdef"));
  EXPECT_FALSE(token.Matches("0123456789abcdeF"));
  EXPECT_FALSE(token.Matches("0123456789abcde"));
  EXPECT_FALSE(token.Matches("0123456789abcdef0"));
  EXPECT_FALSE(token.Matches(""));
  EXPECT_FALSE(AuthToken().Matches(""));
}

}  // namespace
}  // namespace capstan
