// The three PEM files of mutual TLS, one type for whoever speaks or serves TLS.
#pragma once

#include <string>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

// Paths; all three are given, or none.
struct TlsFiles {
  std::string cert;  // own certificate, then those between it and the authority
  std::string key;   // its private key, not encrypted
  std::string ca;    // the authorities whose certificates peers must have

  bool empty() const { return cert.empty() && key.empty() && ca.empty(); }
};

// Their contents.
struct TlsPems {
  std::string cert, key, ca;
};

// Reads and checks: each file is there and is what it should be, the key belongs to the
// certificate, and an authority of `ca` vouches for the certificate today, as peers will ask.
// Errors name the files, never the key's content.
StatusOr<TlsPems> LoadTls(FileSystem& fs, const TlsFiles& files);

}  // namespace capstan
