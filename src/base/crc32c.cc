#include "base/crc32c.h"

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace capstan {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // reflected Castagnoli

struct Tables {
  std::array<std::array<uint32_t, 256>, 8> byte;  // slicing by 8
};

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) ? kPolynomial : 0);
    tables.byte[0][i] = crc;
  }
  for (uint32_t i = 0; i < 256; ++i) {
    for (int t = 1; t < 8; ++t) {
      const uint32_t previous = tables.byte[t - 1][i];
      tables.byte[t][i] = (previous >> 8) ^ tables.byte[0][previous & 0xff];
    }
  }
  return tables;
}
constexpr Tables kTables = MakeTables();

// Works on the inverted CRC state, as the instruction does.
uint32_t ExtendByTable(uint32_t state, const unsigned char* p, size_t n) {
  while (n >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    word ^= state;
    state = 0;
    for (int t = 0; t < 8; ++t) state ^= kTables.byte[7 - t][(word >> (8 * t)) & 0xff];
    p += 8;
    n -= 8;
  }
  while (n-- > 0) state = (state >> 8) ^ kTables.byte[0][(state ^ *p++) & 0xff];
  return state;
}

#if defined(__x86_64__)

// Multiplies two polynomials modulo the CRC's, both reflected.
constexpr uint32_t MultiplyModulo(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = 1u << 31; bit != 0; bit >>= 1) {
    if (a & bit) product ^= b;
    b = (b >> 1) ^ ((b & 1) ? kPolynomial : 0);
  }
  return product;
}

// x^(8n) modulo the polynomial: multiplying a state by it appends n zero bytes.
constexpr uint32_t ShiftFactor(uint64_t size_bytes) {
  uint32_t factor = 1u << 31;  // x^0
  uint32_t square = 1u << 23;  // x^8
  for (; size_bytes != 0; size_bytes >>= 1) {
    if (size_bytes & 1) factor = MultiplyModulo(factor, square);
    square = MultiplyModulo(square, square);
  }
  return factor;
}

// The instruction has a latency of 3 and a throughput of 1: three streams keep it busy. Two block
// lengths, so that records of some hundred bytes gain too.
struct ShiftTable {
  std::array<std::array<uint32_t, 256>, 4> byte;
};
constexpr ShiftTable MakeShiftTable(uint64_t size_bytes) {
  ShiftTable table{};
  const uint32_t factor = ShiftFactor(size_bytes);
  for (uint32_t b = 0; b < 4; ++b) {
    for (uint32_t i = 0; i < 256; ++i) table.byte[b][i] = MultiplyModulo(factor, i << (8 * b));
  }
  return table;
}
constexpr size_t kLongBlock = 2048;
constexpr size_t kShortBlock = 128;
constexpr ShiftTable kLongShift = MakeShiftTable(kLongBlock);
constexpr ShiftTable kShortShift = MakeShiftTable(kShortBlock);

inline uint32_t Shift(const ShiftTable& table, uint32_t state) {
  return table.byte[0][state & 0xff] ^ table.byte[1][(state >> 8) & 0xff] ^
         table.byte[2][(state >> 16) & 0xff] ^ table.byte[3][state >> 24];
}

inline uint64_t Load64(const unsigned char* p) {
  uint64_t word;
  std::memcpy(&word, p, 8);
  return word;
}

template <size_t kBlock>
__attribute__((target("sse4.2"))) uint32_t ThreeStreams(uint32_t state, const unsigned char* p,
                                                        const ShiftTable& shift) {
  uint64_t a = state, b = 0, c = 0;
  for (size_t i = 0; i < kBlock; i += 8) {
    a = _mm_crc32_u64(a, Load64(p + i));
    b = _mm_crc32_u64(b, Load64(p + kBlock + i));
    c = _mm_crc32_u64(c, Load64(p + 2 * kBlock + i));
  }
  const uint32_t ab = Shift(shift, static_cast<uint32_t>(a)) ^ static_cast<uint32_t>(b);
  return Shift(shift, ab) ^ static_cast<uint32_t>(c);
}

__attribute__((target("sse4.2"))) uint32_t ExtendByInstruction(uint32_t state,
                                                               const unsigned char* p, size_t n) {
  while (n >= 3 * kLongBlock) {
    state = ThreeStreams<kLongBlock>(state, p, kLongShift);
    p += 3 * kLongBlock;
    n -= 3 * kLongBlock;
  }
  while (n >= 3 * kShortBlock) {
    state = ThreeStreams<kShortBlock>(state, p, kShortShift);
    p += 3 * kShortBlock;
    n -= 3 * kShortBlock;
  }
  uint64_t wide = state;
  for (; n >= 8; p += 8, n -= 8) wide = _mm_crc32_u64(wide, Load64(p));
  state = static_cast<uint32_t>(wide);
  for (; n > 0; ++p, --n) state = _mm_crc32_u8(state, *p);
  return state;
}

#endif

}  // namespace

uint32_t ExtendCrc32c(uint32_t crc, const void* data, size_t size_bytes) {
  const auto* bytes = static_cast<const unsigned char*>(data);
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return ~ExtendByInstruction(~crc, bytes, size_bytes);
#endif
  return ~ExtendByTable(~crc, bytes, size_bytes);
}

}  // namespace capstan
