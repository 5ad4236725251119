// The inline half of formats/example_parser.h (include that): one value of a packed list.
//
//   list := 0a n value      n bytes: 4 for a float, 1 … 10 for the varint of an int64
//
// Only bytes of the list itself are loaded, by words that overlap.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "formats/example_parser.h"
#include "formats/little_endian.h"

namespace capstan {

// The seven low bits of each of the eight bytes, put together: 56 bits.
inline uint64_t GatherSevenBits(uint64_t word) {
  // Seven bits of each byte, 14 of each two, 28 of each four, 56.
  word &= 0x7f7f7f7f7f7f7f7fu;
  word = (word & 0x007f007f007f007fu) | ((word & 0x7f007f007f007f00u) >> 1);
  word = (word & 0x00003fff00003fffu) | ((word & 0x3fff00003fff0000u) >> 2);
  return (word & 0x000000000fffffffu) | ((word & 0x0fffffff00000000u) >> 4);
}

// The number in the `n` (1 … 10) bytes behind p[0] and p[1]; false when they are not exactly one.
inline bool DecodePackedVarint(const char* p, size_t n, uint64_t* value) {
  constexpr uint64_t kHighBits = 0x8080808080808080u;
  if (n <= 8) {
    uint64_t word;
    if (n == 1) {
      word = static_cast<uint8_t>(p[2]);
    } else if (n <= 5) {
      const uint64_t low = LoadLittle32(p);
      const uint64_t high = LoadLittle32(p + n - 2);
      word = (low >> 16) | ((high << 8) >> (8 * (5 - n)));
    } else {
      word = LoadLittle64(p + n - 6) >> (8 * (8 - n));
    }
    // Bytes 0 … n-2 say that more follow, byte n-1 does not; nothing lies above.
    *value = GatherSevenBits(word);
    return (word & kHighBits) == (kHighBits & ~(~uint64_t{0} << (8 * (n - 1))));
  }
  const uint64_t low = LoadLittle64(p + 2);
  const uint64_t ninth = static_cast<uint8_t>(p[10]);
  const uint64_t tenth = n == 10 ? static_cast<uint8_t>(p[11]) : 0;
  *value = GatherSevenBits(low) | (ninth & 0x7f) << 56 | tenth << 63;
  return (low & kHighBits) == kHighBits && (ninth >> 7) == (n == 10) && tenth <= 1;
}

inline bool ReadOneFloat(const FeatureView& view, float* value) {
  const std::string_view list = view.list;
  if (view.kind != FeatureView::Kind::kFloat) return false;
  if (list.size() != 6 || list[0] != 0x0a || list[1] != 4) return ReadOneUnpackedFloat(list, value);
  *value = std::bit_cast<float>(LoadLittle32(list.data() + 2));
  return true;
}

inline bool ReadOneInt(const FeatureView& view, int64_t* value) {
  const std::string_view list = view.list;
  if (view.kind != FeatureView::Kind::kInt64) return false;
  const size_t n = list.size() - 2;
  if (list.size() < 3 || n > 10 || list[0] != 0x0a || static_cast<uint8_t>(list[1]) != n) {
    return ReadOneUnpackedInt(list, value);
  }
  uint64_t bits = 0;
  if (!DecodePackedVarint(list.data(), n, &bits)) return false;
  *value = static_cast<int64_t>(bits);
  return true;
}

}  // namespace capstan
