// Numbers for people.
#pragma once

#include <cstdint>
#include <string>

namespace capstan {

// "22,696"
std::string WithCommas(int64_t number);

}  // namespace capstan
