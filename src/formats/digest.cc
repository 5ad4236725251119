#include "formats/digest.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

namespace capstan {

struct Digest::State {
  XXH3_state_t state;
};

Digest::Digest() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->state); }
Digest::~Digest() = default;

void Digest::Add(std::string_view bytes) {
  XXH3_128bits_update(&state_->state, bytes.data(), bytes.size());
}
void Digest::AddNumber(uint64_t number) {
  Add(std::string_view(reinterpret_cast<const char*>(&number), sizeof(number)));
}
void Digest::AddText(std::string_view text) {
  AddNumber(text.size());
  Add(text);
}
std::string Digest::Hex() const {
  const XXH128_hash_t hash = XXH3_128bits_digest(&state_->state);
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

}  // namespace capstan
