#include "data/category_key.h"

#include <farmhash.h>

#include <algorithm>
#include <charconv>
#include <limits>

namespace capstan {
namespace {
constexpr std::string_view kCrossMark = "_X_";
}  // namespace

uint64_t Fingerprint(std::string_view bytes) {
  return util::Fingerprint64(bytes.data(), bytes.size());
}

uint64_t HashBucket(std::string_view bytes, int64_t buckets) {
  constexpr auto kMost = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  const uint64_t hash = Fingerprint(bytes);
  // 2^63 - 1 goes into a 64-bit number at most twice: no division.
  if (buckets == 0) {
    const uint64_t once = hash >= kMost ? hash - kMost : hash;
    return once >= kMost ? once - kMost : once;
  }
  return hash % static_cast<uint64_t>(buckets);
}

uint64_t BucketOf(float x, std::span<const float> boundaries) {
  return std::upper_bound(boundaries.begin(), boundaries.end(), x) - boundaries.begin();
}

Vocabulary::Vocabulary(const std::vector<std::string>& words) {
  places_.reserve(words.size());
  for (size_t i = 0; i < words.size(); ++i) places_.emplace(words[i], i);
}

uint64_t Vocabulary::KeyOf(std::string_view word) const {
  const auto found = places_.find(word);
  return found == places_.end() ? places_.size() : found->second;
}

void CrossText::AddString(std::string_view part) {
  if (has_parts_) text_.append(kCrossMark);
  has_parts_ = true;
  text_.append(part);
}

void CrossText::AddKey(uint64_t key) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), static_cast<int64_t>(key)).ptr;
  AddString(std::string_view(digits, end - digits));
}

}  // namespace capstan
