#include "net/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <memory>
#include <vector>

namespace capstan {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;

struct Freer {
  void operator()(BIO* p) const { BIO_free(p); }
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  void operator()(X509_STORE* p) const { X509_STORE_free(p); }
  void operator()(X509_STORE_CTX* p) const { X509_STORE_CTX_free(p); }
  void operator()(STACK_OF(X509) * p) const { sk_X509_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Freer>;

Owned<BIO> Open(const std::string& pem) {
  return Owned<BIO>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

StatusOr<std::string> ReadPem(FileSystem& fs, const char* what, const std::string& path) {
  auto pem = ReadFile(fs, path, kMaxPemBytes);
  if (!pem.ok()) return Annotate(pem.status(), fmt::format("read {} {}", what, path));
  return pem;
}

StatusOr<std::vector<Owned<X509>>> ParseCertificates(const char* what, const std::string& path,
                                                     const std::string& pem) {
  Owned<BIO> bio = Open(pem);
  std::vector<Owned<X509>> certificates;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.emplace_back(certificate);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (certificates.empty()) return Error("{} {}: no PEM certificate in it", what, path);
  if (!at_end) return Error("{} {}: certificate {} is damaged", what, path, certificates.size());
  return certificates;
}

// Never asks a terminal for a passphrase.
int NoPassphrase(char*, int, int, void*) { return -1; }

Status CheckKey(const TlsFiles& files, const std::string& key_pem, X509* certificate) {
  Owned<BIO> bio = Open(key_pem);
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  if (key == nullptr) {
    return Error("TLS key {}: no unencrypted PEM private key in it", files.key);
  }
  const bool matches = X509_check_private_key(certificate, key.get()) == 1;
  ERR_clear_error();
  if (!matches) {
    return Error("TLS key {} does not belong to the certificate {}", files.key, files.cert);
  }
  return OkStatus();
}

Status CheckChain(const TlsFiles& files, const std::vector<Owned<X509>>& chain,
                  const std::vector<Owned<X509>>& authorities) {
  Owned<X509_STORE> store(X509_STORE_new());
  for (const auto& authority : authorities) X509_STORE_add_cert(store.get(), authority.get());
  Owned<STACK_OF(X509)> between(sk_X509_new_null());
  for (size_t i = 1; i < chain.size(); ++i) sk_X509_push(between.get(), chain[i].get());
  Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), between.get());
  const bool vouched = X509_verify_cert(context.get()) == 1;
  const int reason = X509_STORE_CTX_get_error(context.get());
  ERR_clear_error();
  if (!vouched) {
    return Error("TLS certificate {} is not vouched for by {}: {}", files.cert, files.ca,
                 X509_verify_cert_error_string(reason));
  }
  return OkStatus();
}

}  // namespace

StatusOr<TlsPems> LoadTls(FileSystem& fs, const TlsFiles& files) {
  if (files.cert.empty() || files.key.empty() || files.ca.empty()) {
    return Error("TLS wants three files: found certificate '{}', key '{}', authority '{}'",
                 files.cert, files.key, files.ca);
  }
  TlsPems pems;
  ASSIGN_OR_RETURN(pems.cert, ReadPem(fs, "TLS certificate", files.cert));
  ASSIGN_OR_RETURN(pems.key, ReadPem(fs, "TLS key", files.key));
  ASSIGN_OR_RETURN(pems.ca, ReadPem(fs, "TLS authority", files.ca));
  ASSIGN_OR_RETURN(const auto chain, ParseCertificates("TLS certificate", files.cert, pems.cert));
  ASSIGN_OR_RETURN(const auto authorities, ParseCertificates("TLS authority", files.ca, pems.ca));
  RETURN_IF_ERROR(CheckKey(files, pems.key, chain[0].get()));
  RETURN_IF_ERROR(CheckChain(files, chain, authorities));
  return pems;
}

}  // namespace capstan
