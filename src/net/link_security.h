// What a task asks of those who call it, and shows to those whom it calls.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/auth_token.h"
#include "net/tls_files.h"

namespace capstan {

struct LinkSecurity {
  std::optional<TlsPems>
      tls;                // mutual TLS: peers without a certificate of our authority are refused
  AuthToken token;        // sent with every call and asked for; with TLS or alone
  bool insecure = false;  // said in so many words: anyone may call
  // With TLS: the name that peers' certificates carry. "": the host that is called.
  std::string server_name;
};

// kFailedPrecondition for a server that others than this machine could call without showing
// anything.
Status CheckListen(const LinkSecurity& security, std::string_view address);

}  // namespace capstan
