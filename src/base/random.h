// Random numbers as pure functions: the same (seed, …) gives the same number on any machine and in
// any order. Nothing here has state that is shared.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

namespace capstan {

// SplitMix64's finaliser: a bijection that mixes every bit into every other.
inline uint64_t MixBits(uint64_t x) {
  x += 0x9e3779b97f4a7c15ull;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
inline uint64_t MixBits(uint64_t a, uint64_t b) { return MixBits(MixBits(a) ^ b); }
inline uint64_t MixBits(uint64_t a, uint64_t b, uint64_t c) { return MixBits(MixBits(a, b) ^ c); }

// Uniform in [0, 1): the upper 24 bits as a float (53 as a double).
inline float UniformFloat(uint64_t bits) { return static_cast<float>(bits >> 40) * 0x1p-24f; }
inline double UniformDouble(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// A stream of numbers: SplitMix64. Cheap to make, one per use.
class RandomStream {
 public:
  explicit RandomStream(uint64_t seed) : state_(MixBits(seed)) {}

  uint64_t Next() {
    const uint64_t bits = MixBits(state_);
    state_ += 0x9e3779b97f4a7c15ull;
    return bits;
  }
  double Uniform() { return UniformDouble(Next()); }
  // In [0, bound), bound > 0; by multiplication, its bias is below 2^-32 for bounds that fit 32
  // bits.
  uint64_t Below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }
  // Standard normal, by Box and Muller (one of the pair is thrown away: no state).
  double Normal() {
    const double u = 1.0 - Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * Uniform());
  }

 private:
  uint64_t state_;
};

}  // namespace capstan
