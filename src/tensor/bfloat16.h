// Bfloat16: the upper half of a float.
#pragma once

#include <bit>
#include <cstdint>

namespace capstan {

using Bfloat16 = uint16_t;

// Rounds to the nearest, ties to even. A NaN stays one (all that arithmetic makes have low bits 0).
inline Bfloat16 ToBfloat16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<Bfloat16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}
inline float FromBfloat16(Bfloat16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value) << 16);
}

}  // namespace capstan
