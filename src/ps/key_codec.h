// Sorted keys as bytes: the difference to the key before, as a varint. Hashed keys of a batch lie
// so far apart that a key takes 7 or 8 bytes; ids take 1 or 2.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

// Keys of one table, sorted ascending (unsigned), distinct: varint of the first, then of
// differences.
void EncodeKeys(std::span<const uint64_t> sorted, std::string* bytes);
// Reads `count` keys from the front of `*bytes` and moves it; ascending is checked. No memory is
// taken for more keys than `*bytes` can hold.
Status DecodeKeys(uint64_t count, std::string_view* bytes, std::vector<uint64_t>* keys);

// Counts from 1 on, nearly all of them 1: varints.
void EncodeCount(uint32_t count, std::string* bytes);
// The next count; moves `*bytes`. 0, which no count is, where there is none.
uint32_t DecodeCount(std::string_view* bytes);

}  // namespace capstan
