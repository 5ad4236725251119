#include "net/test_authority.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace capstan {
namespace {

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

std::string Pem(X509* x509) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, x509);
  return Text(bio);
}

std::string Pem(EVP_PKEY* key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
  return Text(bio);
}

void Extend(X509* x509, X509* issuer, int extension, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, x509, nullptr, nullptr, 0);
  X509_EXTENSION* made = X509V3_EXT_conf_nid(nullptr, &context, extension, value.c_str());
  X509_add_ext(x509, made, -1);
  X509_EXTENSION_free(made);
}

X509* Make(const std::string& name, EVP_PKEY* key, X509* issuer, int days) {
  X509* x509 = X509_new();
  X509_set_version(x509, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(x509), issuer == nullptr ? 1 : 2);
  X509_gmtime_adj(X509_getm_notBefore(x509), -10L * 86400);
  X509_gmtime_adj(X509_getm_notAfter(x509), days * 86400L);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(issuer == nullptr ? x509 : issuer));
  X509_set_pubkey(x509, key);
  return x509;
}

}  // namespace

TestAuthority::TestAuthority(const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = Make(name, key, nullptr, 10);
  Extend(x509, x509, NID_basic_constraints, "critical,CA:TRUE");
  X509_sign(x509, key, EVP_sha256());
  certificate_ = Pem(x509);
  key_ = key;
  x509_ = x509;
}

TestAuthority::~TestAuthority() {
  EVP_PKEY_free(static_cast<EVP_PKEY*>(key_));
  X509_free(static_cast<X509*>(x509_));
}

TlsPems TestAuthority::Issue(const std::string& alternative_names, int days) const {
  X509* authority = static_cast<X509*>(x509_);
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* x509 = Make("task", key, authority, days);
  Extend(x509, authority, NID_subject_alt_name, alternative_names);
  X509_sign(x509, static_cast<EVP_PKEY*>(key_), EVP_sha256());
  TlsPems pems{.cert = Pem(x509), .key = Pem(key), .ca = certificate_};
  X509_free(x509);
  EVP_PKEY_free(key);
  return pems;
}

}  // namespace capstan
