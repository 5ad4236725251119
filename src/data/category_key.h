// From the value of a categorical feature to its key, as stock TensorFlow ops compute it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace capstan {

// tf.strings.to_hash_bucket_fast: FarmHash's Fingerprint64 of the bytes, mod `buckets`; 0 stands
// for 2^63 - 1, the most that the op takes.
uint64_t HashBucket(std::string_view bytes, int64_t buckets);

// FarmHash's Fingerprint64 itself.
uint64_t Fingerprint(std::string_view bytes);

// Bucketize: boundaries[i-1] <= x < boundaries[i] gives i.
uint64_t BucketOf(float x, std::span<const float> boundaries);

// Words → their places in the list; any other word → the list's size. The words must outlive it.
class Vocabulary {
 public:
  explicit Vocabulary(const std::vector<std::string>& words);

  uint64_t KeyOf(std::string_view word) const;

 private:
  struct Hash {
    size_t operator()(std::string_view word) const { return Fingerprint(word); }
  };
  std::unordered_map<std::string_view, uint64_t, Hash> places_;
};

// The text that a cross hashes, "A_X_B_X_C": AsString of the parts' keys or the strings themselves,
// put together by StringJoin. Kept between rows for its memory.
class CrossText {
 public:
  void Clear() {
    text_.clear();
    has_parts_ = false;
  }
  void AddString(std::string_view part);
  void AddKey(uint64_t key);  // in decimal, as int64
  std::string_view text() const { return text_; }

 private:
  std::string text_;
  bool has_parts_ = false;
};

}  // namespace capstan
