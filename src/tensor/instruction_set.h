// Which instructions the matrix products and vector loops use here: bits agree only within one set.
#pragma once

#include <string>

namespace capstan {

// "avx512", "avx2", "sse4", "neon", …: Highway's best target on this machine.
std::string InstructionSetName();

}  // namespace capstan
