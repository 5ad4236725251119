#include "net/auth_token.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/stat.h>

namespace capstan {
namespace {

constexpr uint64_t kMaxFileBytes = 4096;
constexpr size_t kShortToken = 16;

std::string_view Trimmed(std::string_view text) {
  const char* blanks = " \t\r\n";
  const size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

}  // namespace

bool AuthToken::Matches(std::string_view offered) const {
  if (secret_.empty()) return false;
  // Digests have one length, so that not even the token's length shows in the time.
  unsigned char ours[SHA256_DIGEST_LENGTH], theirs[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(secret_.data()), secret_.size(), ours);
  SHA256(reinterpret_cast<const unsigned char*>(offered.data()), offered.size(), theirs);
  return CRYPTO_memcmp(ours, theirs, sizeof(ours)) == 0;
}

StatusOr<AuthTokenFile> ReadAuthToken(FileSystem& fs, const std::string& path) {
  auto content = ReadFile(fs, path, kMaxFileBytes);
  if (!content.ok()) return Annotate(content.status(), "read token file " + path);
  const std::string_view secret = Trimmed(*content);
  if (secret.empty()) return Error("token file {} is empty, expected one line", path);
  for (size_t i = 0; i < secret.size(); ++i) {
    if (secret[i] <= ' ' || secret[i] > '~') {
      return Error(
          "token file {}: byte {} of the token is no printable character, expected one "
          "line without blanks",
          path, i + 1);
    }
  }
  AuthTokenFile file{.token = AuthToken(std::string(secret))};
  struct stat info;
  if (stat(path.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0) {
    file.warnings.push_back(
        fmt::format("token file {} can be read by every user of this machine", path));
  }
  if (secret.size() < kShortToken) {
    file.warnings.push_back(
        fmt::format("the token in {} is short, {} characters; at least {} are hard to guess", path,
                    secret.size(), kShortToken));
  }
  return file;
}

}  // namespace capstan
