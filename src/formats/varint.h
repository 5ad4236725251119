// Protobuf's variable-length integers: seven bits a byte, the lowest first, the high bit of a byte
// says that more follow; at most ten bytes.
#pragma once

#include <cstdint>
#include <string>

namespace capstan {

constexpr int kMaxVarintBytes = 10;

inline const char* DecodeLongVarint(const char* p, const char* end, uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 64 && p < end; shift += 7) {
    const auto byte = static_cast<uint8_t>(*p++);
    // The tenth byte has room for one bit.
    if (shift == 63 && byte > 1) return nullptr;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return p;
    }
  }
  return nullptr;
}

// The place behind the number that starts at `p`; null when it is cut or longer than 64 bits.
inline const char* DecodeVarint(const char* p, const char* end, uint64_t* value) {
  if (p < end && static_cast<uint8_t>(*p) < 0x80) {
    *value = static_cast<uint8_t>(*p);
    return p + 1;
  }
  return DecodeLongVarint(p, end, value);
}

inline void AppendVarint(uint64_t value, std::string* out) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

inline size_t VarintBytes(uint64_t value) {
  size_t n = 1;
  for (; value >= 0x80; value >>= 7) ++n;
  return n;
}

}  // namespace capstan
