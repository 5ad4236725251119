// SHA-256 (FIPS 180-4) and HMAC over it (RFC 2104). A static program of a megabyte shall not carry
// a library of five for these.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace capstan {

using Sha256Digest = std::array<uint8_t, 32>;

Sha256Digest Sha256(std::string_view bytes);
Sha256Digest HmacSha256(std::string_view key, std::string_view bytes);

// 64 lower case digits.
std::string HexOf(const Sha256Digest& digest);
// In a time that does not depend on where the two differ.
bool SameText(std::string_view a, std::string_view b);

}  // namespace capstan
