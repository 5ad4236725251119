// The shared secret of a job's tasks. Never part of a message or a log line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

class AuthToken {
 public:
  AuthToken() = default;  // none: nothing is asked for
  // Tests and Read: printable ASCII without blanks.
  explicit AuthToken(std::string secret) : secret_(std::move(secret)) {}

  bool empty() const { return secret_.empty(); }
  // In a time that does not depend on where the two differ. False when there is no token.
  bool Matches(std::string_view offered) const;
  // Only for the wire.
  const std::string& secret() const { return secret_; }

 private:
  std::string secret_;
};

struct AuthTokenFile {
  AuthToken token;
  // Sentences for the log: others of this machine can read the file, the token is short.
  std::vector<std::string> warnings;
};

// Reads a token from a file of one line, at most 4 KB; the end of the line and blanks around are
// not part of it. Errors name the file, never its content.
StatusOr<AuthTokenFile> ReadAuthToken(FileSystem& fs, const std::string& path);

}  // namespace capstan
