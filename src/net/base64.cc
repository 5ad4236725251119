#include "net/base64.h"

#include <openssl/evp.h>

#include <cctype>

namespace capstan {

std::string EncodeBase64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');  // and a zero, which OpenSSL adds
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  text.resize(static_cast<size_t>(size));
  return text;
}

StatusOr<std::string> DecodeBase64(std::string_view text) {
  std::string dense;
  for (const char c : text) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) dense += c;
  }
  if (dense.empty()) return std::string();
  const size_t end = dense.find('=');
  const size_t padding = end == std::string::npos ? 0 : dense.size() - end;
  std::string bytes(dense.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                   reinterpret_cast<const unsigned char*>(dense.data()),
                                   static_cast<int>(dense.size()));
  const bool padded_inside = dense.find_last_not_of('=') > end && end != std::string::npos;
  if (size < 0 || padding > 2 || padded_inside) return Error("this is not base64");
  bytes.resize(static_cast<size_t>(size) - padding);
  return bytes;
}

}  // namespace capstan
