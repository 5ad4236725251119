#include "formats/example_parser.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "formats/little_endian.h"
#include "formats/varint.h"

namespace capstan {
namespace {

// Tags: field number × 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes).
constexpr uint8_t kField1Bytes = 0x0a;
constexpr uint8_t kField2Bytes = 0x12;

// How far ahead of the expected entry a name is looked for (entries between are missing this time).
constexpr size_t kLookAhead = 8;
constexpr int kMaxFreshStarts = 8;

// One field of a message. `bytes` is set for wire type 2 only.
struct Field {
  uint64_t tag = 0;
  std::string_view bytes;
};

// Reads the field at `p`; null when it does not fit before `end` or is of an unknown wire type.
const char* ReadField(const char* p, const char* end, Field* field) {
  p = DecodeVarint(p, end, &field->tag);
  if (p == nullptr) return nullptr;
  uint64_t number = 0;
  switch (field->tag & 7) {
    case 0:
      return DecodeVarint(p, end, &number);
    case 1:
      return end - p < 8 ? nullptr : p + 8;
    case 2:
      p = DecodeVarint(p, end, &number);
      if (p == nullptr || number > static_cast<uint64_t>(end - p)) return nullptr;
      field->bytes = std::string_view(p, number);
      return p + number;
    case 5:
      return end - p < 4 ? nullptr : p + 4;
    default:
      return nullptr;
  }
}

// The list of a Feature message. Returns where the damage is, or null.
const char* ParseFeature(std::string_view bytes, FeatureView* view) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p < end) {
    Field field;
    const char* next = ReadField(p, end, &field);
    if (next == nullptr) return p;
    const uint64_t number = field.tag >> 3;
    if ((field.tag & 7) == 2 && number >= 1 && number <= 3) {
      *view = {static_cast<FeatureView::Kind>(number), field.bytes};
    }
    p = next;
  }
  return nullptr;
}

// One entry of the map. Returns where the damage is, or null.
const char* ParseMapEntry(std::string_view bytes, NamedFeature* feature) {
  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  while (p < end) {
    Field field;
    const char* next = ReadField(p, end, &field);
    if (next == nullptr) return p;
    if (field.tag == kField1Bytes) {
      feature->name = field.bytes;
    } else if (field.tag == kField2Bytes) {
      feature->view = {};
      const char* damage = ParseFeature(field.bytes, &feature->view);
      if (damage != nullptr) return damage;
    }
    p = next;
  }
  return nullptr;
}

Status Damage(std::string_view record, const char* place) {
  return CorruptionError(
      "parse Example at byte {} of {}: a field is cut, too long or of unknown type",
      place - record.data(), record.size());
}

}  // namespace

// The expected first bytes of an entry. When all lengths are below 128 they follow from the entry's
// own length L, so that an entry is checked by comparing whole words:
//
//   0a L | 0a n | name (n bytes) | 12 L-n-4 | kind L-n-6 | list (L-n-6 bytes)
//   `---------------- header_bytes ---------------------'
//
// word[i] + L × scale[i] must be the header's bytes 8i … 8i+7; `last_mask` blanks what lies behind
// the header in its last word.
struct ExampleParser::Guess {
  static constexpr size_t kMaxWords = 4;

  std::array<uint64_t, kMaxWords> word = {};
  std::array<uint64_t, kMaxWords> scale = {};
  uint64_t last_mask = 0;
  int slot = -1;
  uint8_t header_bytes = 0;
  uint8_t loaded_bytes = 0;  // header_bytes in whole words
  uint8_t min_length = 255;  // that is: fits nothing, the header is too long for a guess
  FeatureView::Kind kind = FeatureView::Kind::kMissing;
  std::string name;

  Guess(std::string_view name, int slot, FeatureView::Kind kind)
      : slot(slot), kind(kind), name(name) {
    const size_t n = name.size();
    if (n + 8 > 8 * kMaxWords || kind == FeatureView::Kind::kMissing) return;
    header_bytes = static_cast<uint8_t>(n + 8);
    loaded_bytes = static_cast<uint8_t>((n + 15) / 8 * 8);
    min_length = static_cast<uint8_t>(n + 6);
    std::array<char, 8 * kMaxWords> bytes = {};
    bytes[0] = kField1Bytes;
    bytes[2] = kField1Bytes;
    bytes[3] = static_cast<char>(n);
    std::copy(name.begin(), name.end(), bytes.begin() + 4);
    bytes[n + 4] = kField2Bytes;
    bytes[n + 6] = static_cast<char>(static_cast<int>(kind) * 8 + 2);
    for (size_t i = 0; i < kMaxWords; ++i) word[i] = LoadLittle64(bytes.data() + 8 * i);
    AddLength(1, 0);
    AddLength(n + 5, n + 4);
    AddLength(n + 7, n + 6);
    const size_t used = (header_bytes - 1) % 8 + 1;
    last_mask = ~uint64_t{0} >> (8 * (8 - used));
  }

  // The byte at `place` is L - `less`. Since that is 0 … 127, the sum has no carry in the end.
  void AddLength(size_t place, uint64_t less) {
    scale[place / 8] += uint64_t{1} << (8 * (place % 8));
    word[place / 8] -= less << (8 * (place % 8));
  }

  // Whether the header at `p` is as expected. Loads whole words.
  bool Fits(const char* p, const char* end) const {
    const auto room = static_cast<size_t>(end - p);
    if (room < std::max<size_t>(loaded_bytes, 2)) return false;
    const auto length = static_cast<uint8_t>(p[1]);
    if (length < min_length || length >= 128 || room < length + size_t{2}) return false;
    if (loaded_bytes == 16) {
      return (Difference(p, length, 0) | (Difference(p, length, 1) & last_mask)) == 0;
    }
    const size_t last = loaded_bytes / 8 - 1;
    uint64_t difference = Difference(p, length, last) & last_mask;
    for (size_t i = 0; i < last; ++i) difference |= Difference(p, length, i);
    return difference == 0;
  }

  uint64_t Difference(const char* p, uint64_t length, size_t i) const {
    return LoadLittle64(p + 8 * i) ^ (word[i] + length * scale[i]);
  }
};

ExampleParser::ExampleParser(std::vector<std::string> names) : names_(std::move(names)) {
  for (size_t i = 0; i < names_.size(); ++i) slots_.emplace(names_[i], static_cast<int>(i));
}
ExampleParser::~ExampleParser() = default;
ExampleParser::ExampleParser(ExampleParser&&) noexcept = default;
ExampleParser& ExampleParser::operator=(ExampleParser&&) noexcept = default;

Status ExampleParser::Parse(std::string_view record, std::span<FeatureView> views) {
  for (FeatureView& view : views) view = FeatureView();
  position_ = 0;
  const char* p = record.data();
  const char* const end = p + record.size();
  while (p < end) {
    Field field;
    const char* next = ReadField(p, end, &field);
    if (next == nullptr) return Damage(record, p);
    if (field.tag == kField1Bytes) {
      const char* features = field.bytes.data();
      const char* damage = ParseFeatures(features, features + field.bytes.size(), views);
      if (damage != nullptr) return Damage(record, damage);
    }
    p = next;
  }
  return OkStatus();
}

// The entries that are as guessed; returns the place of the first that is not.
const char* ExampleParser::FollowGuesses(const char* p, const char* end,
                                         std::span<FeatureView> views) {
  const Guess* guess = order_.data() + position_;
  const Guess* const stop = order_.data() + order_.size();
  for (; guess != stop && guess->Fits(p, end); ++guess) {
    const char* const next = p + static_cast<uint8_t>(p[1]) + 2;
    if (guess->slot >= 0) {
      const char* const list = p + guess->header_bytes;
      views[guess->slot] = {guess->kind, std::string_view(list, next - list)};
    }
    p = next;
  }
  position_ = guess - order_.data();
  return p;
}

// Returns where the damage is, or null.
const char* ExampleParser::ParseFeatures(const char* p, const char* end,
                                         std::span<FeatureView> views) {
  while (p < end) {
    p = FollowGuesses(p, end, views);
    if (p == end) break;
    Field field;
    const char* next = ReadField(p, end, &field);
    if (next == nullptr) return p;
    if (field.tag == kField1Bytes) {
      NamedFeature feature;
      const char* damage = ParseMapEntry(field.bytes, &feature);
      if (damage != nullptr) return damage;
      const int slot = SlotOf(feature.name, feature.view.kind);
      if (slot >= 0) views[slot] = feature.view;
    }
    p = next;
  }
  return nullptr;
}

int ExampleParser::SlotOf(std::string_view name, FeatureView::Kind kind) {
  const size_t stop = std::min(order_.size(), position_ + kLookAhead);
  for (size_t i = position_; i < stop; ++i) {
    Guess& guess = order_[i];
    if (guess.name != name) continue;
    position_ = i + 1;
    if (guess.kind != kind) guess = Guess(name, guess.slot, kind);
    return guess.slot;
  }
  const auto found = slots_.find(name);
  const int slot = found == slots_.end() ? -1 : found->second;
  Learn(name, slot, kind);
  return slot;
}

// Puts a name that was not expected where it was seen. Files whose records are each in another
// order make the list grow without end: after some fresh starts there are no more guesses.
void ExampleParser::Learn(std::string_view name, int slot, FeatureView::Kind kind) {
  if (fresh_starts_ >= kMaxFreshStarts) return;
  if (order_.size() >= 4 * names_.size() + 256) {
    order_.clear();
    position_ = 0;
    if (++fresh_starts_ >= kMaxFreshStarts) return;
  }
  order_.insert(order_.begin() + position_, Guess(name, slot, kind));
  ++position_;
}

StatusOr<std::vector<NamedFeature>> ListFeatures(std::string_view record) {
  std::vector<NamedFeature> features;
  const char* p = record.data();
  const char* const end = p + record.size();
  while (p < end) {
    Field field;
    const char* next = ReadField(p, end, &field);
    if (next == nullptr) return Damage(record, p);
    if (field.tag == kField1Bytes) {
      const char* q = field.bytes.data();
      const char* const features_end = q + field.bytes.size();
      while (q < features_end) {
        Field entry;
        const char* entry_end = ReadField(q, features_end, &entry);
        if (entry_end == nullptr) return Damage(record, q);
        if (entry.tag == kField1Bytes) {
          NamedFeature feature;
          const char* damage = ParseMapEntry(entry.bytes, &feature);
          if (damage != nullptr) return Damage(record, damage);
          features.push_back(feature);
        }
        q = entry_end;
      }
    }
    p = next;
  }
  return features;
}

}  // namespace capstan
