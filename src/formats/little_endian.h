// Fixed-width integers as the file formats store them: little-endian, at any address.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

namespace capstan {

static_assert(std::endian::native == std::endian::little,
              "tensors and records are copied as they lie in memory");

inline uint32_t LoadLittle32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}
inline uint64_t LoadLittle64(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof(value));
  return value;
}
inline void StoreLittle32(uint32_t value, char* p) { std::memcpy(p, &value, sizeof(value)); }
inline void StoreLittle64(uint64_t value, char* p) { std::memcpy(p, &value, sizeof(value)); }

inline void AppendLittle32(uint32_t value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}
inline void AppendLittle64(uint64_t value, std::string* out) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

}  // namespace capstan
