// For tests: an authority that issues certificates, all with keys made on the spot.
#pragma once

#include <string>

#include "net/tls_files.h"

namespace capstan {

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name);
  ~TestAuthority();

  const std::string& certificate() const { return certificate_; }  // PEM
  // A certificate with these alternative names ("DNS:localhost,IP:127.0.0.1"), its key, and this
  // authority. Negative days: it has expired.
  TlsPems Issue(const std::string& alternative_names, int days = 1) const;

 private:
  void* key_;   // EVP_PKEY
  void* x509_;  // X509
  std::string certificate_;
};

}  // namespace capstan
