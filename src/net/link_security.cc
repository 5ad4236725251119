#include "net/link_security.h"

#include "net/address.h"

namespace capstan {

Status CheckListen(const LinkSecurity& security, std::string_view address) {
  if (security.tls.has_value() || !security.token.empty() || security.insecure) return OkStatus();
  if (IsLoopback(address)) return OkStatus();
  return MakeStatus(
      absl::StatusCode::kFailedPrecondition,
      fmt::format("listen on {}: anyone who reaches this address could take part; give TLS files, "
                  "or a token file, or --insecure",
                  address));
}

}  // namespace capstan
