// For tests: runs something once for every instruction set of this machine.
#pragma once

#include <functional>
#include <string>

namespace capstan {

// body(name) under each target; ends with the best one again.
void ForEveryTarget(const std::function<void(const std::string& name)>& body);

// AVX2 and better promise equal bits; older sets have no fused multiply-add.
inline bool HasFusedMultiplyAdd(const std::string& target) { return target.rfind("AVX", 0) == 0; }

}  // namespace capstan
