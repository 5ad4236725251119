#include "params/initial_values.h"

#include <algorithm>
#include <cmath>

#include "base/random.h"

namespace capstan {
namespace {

uint64_t MixText(uint64_t state, std::string_view text) {
  state = MixBits(state, text.size());
  for (const char c : text) state = MixBits(state, static_cast<unsigned char>(c));
  return state;
}

// As TensorFlow's truncated_normal: values beyond two standard deviations are drawn again.
float Normal(uint64_t position_bits, float scale, bool truncated) {
  RandomStream random(position_bits);
  double value = random.Normal();
  while (truncated && std::abs(value) > 2.0) value = random.Normal();
  return static_cast<float>(value) * scale;
}

}  // namespace

uint64_t ValueStream(uint64_t seed, std::string_view name, std::string_view part) {
  return MixText(MixText(MixBits(seed), name), part);
}

void FillInitialValues(const Initializer& initializer, uint64_t stream, int64_t first,
                       std::span<float> values) {
  const uint64_t start = MixBits(stream);
  const float scale = initializer.scale;
  const auto position = [start, first](size_t i) {
    return start ^ (static_cast<uint64_t>(first) + i);
  };
  switch (initializer.kind) {
    case Initializer::Kind::kZero:
      std::fill(values.begin(), values.end(), 0.0f);
      return;
    case Initializer::Kind::kConstant:
      std::fill(values.begin(), values.end(), scale);
      return;
    case Initializer::Kind::kUniform:
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = (UniformFloat(MixBits(position(i))) * 2.0f - 1.0f) * scale;
      }
      return;
    case Initializer::Kind::kNormal:
    case Initializer::Kind::kTruncatedNormal: {
      const bool truncated = initializer.kind == Initializer::Kind::kTruncatedNormal;
      for (size_t i = 0; i < values.size(); ++i) values[i] = Normal(position(i), scale, truncated);
      return;
    }
  }
}

}  // namespace capstan
