// CRC-32C (Castagnoli), as TFRecord, tensor bundles and LevelDB tables use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace capstan {

// CRC of `data` appended to bytes whose CRC is `crc` (0 for none). Three interleaved streams of the
// crc32 instruction where the processor has it, a table otherwise.
uint32_t ExtendCrc32c(uint32_t crc, const void* data, size_t size_bytes);

inline uint32_t Crc32c(const void* data, size_t size_bytes) {
  return ExtendCrc32c(0, data, size_bytes);
}
inline uint32_t Crc32c(std::string_view bytes) {
  return ExtendCrc32c(0, bytes.data(), bytes.size());
}

// The masked form that files store, so that a CRC of bytes that contain CRCs stays useful.
inline uint32_t MaskCrc(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }
inline uint32_t UnmaskCrc(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

}  // namespace capstan
