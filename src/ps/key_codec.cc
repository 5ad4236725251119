#include "ps/key_codec.h"

#include <algorithm>

namespace capstan {
namespace {

// Past the varint, or null.
const uint8_t* ReadVarint(const uint8_t* at, const uint8_t* end, uint64_t* value) {
  uint64_t result = 0;
  for (int shift = 0; shift < 64 && at < end; shift += 7) {
    const uint8_t byte = *at++;
    if (shift == 63 && byte > 1) return nullptr;
    result |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = result;
      return at;
    }
  }
  return nullptr;
}

char* WriteVarint(uint64_t value, char* at) {
  while (value >= 0x80) {
    *at++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *at++ = static_cast<char>(value);
  return at;
}

}  // namespace

void EncodeKeys(std::span<const uint64_t> sorted, std::string* bytes) {
  constexpr size_t kBatch = 64;
  char buffer[kBatch * 10];
  uint64_t before = 0;
  for (size_t begin = 0; begin < sorted.size(); begin += kBatch) {
    char* at = buffer;
    for (const uint64_t key : sorted.subspan(begin, std::min(kBatch, sorted.size() - begin))) {
      at = WriteVarint(key - before, at);
      before = key;
    }
    bytes->append(buffer, static_cast<size_t>(at - buffer));
  }
}

Status DecodeKeys(uint64_t count, std::string_view* bytes, std::vector<uint64_t>* keys) {
  if (count > bytes->size()) {
    return CorruptionError("decode keys: {} keys in {} bytes", count, bytes->size());
  }
  const uint8_t* const begin = reinterpret_cast<const uint8_t*>(bytes->data());
  const uint8_t* const end = begin + bytes->size();
  const uint8_t* at = begin;
  keys->resize(count);
  uint64_t before = 0;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t difference = 0;
    at = ReadVarint(at, end, &difference);
    if (at == nullptr) return CorruptionError("decode keys: key {} of {} is cut off", i, count);
    const uint64_t key = before + difference;
    if (i > 0 && key <= before) {
      return CorruptionError("decode keys: key {} of {} is not above the one before", i, count);
    }
    (*keys)[i] = before = key;
  }
  bytes->remove_prefix(static_cast<size_t>(at - begin));
  return OkStatus();
}

void EncodeCount(uint32_t count, std::string* bytes) {
  char buffer[10];
  bytes->append(buffer, static_cast<size_t>(WriteVarint(count, buffer) - buffer));
}

uint32_t DecodeCount(std::string_view* bytes) {
  const uint8_t* const begin = reinterpret_cast<const uint8_t*>(bytes->data());
  uint64_t count = 0;
  const uint8_t* const at = ReadVarint(begin, begin + bytes->size(), &count);
  if (at == nullptr || count > 0xffffffffu) return 0;
  bytes->remove_prefix(static_cast<size_t>(at - begin));
  return static_cast<uint32_t>(count);
}

}  // namespace capstan
