// Initial weights as a pure function of (seed, name, key, position): the same for any order of
// insertion, any number of threads and servers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "params/table_spec.h"

namespace capstan {

// Names a sequence of random values. For a dense variable `name` is the variable; a table's part
// adds the part's name, and each key its number (MixBits(stream, key)).
uint64_t ValueStream(uint64_t seed, std::string_view name, std::string_view part = {});

// values[i] = the value at position first + i of `stream`.
void FillInitialValues(const Initializer& initializer, uint64_t stream, int64_t first,
                       std::span<float> values);

}  // namespace capstan
