// For tests: runs something once for every instruction set of this machine.
#pragma once

#include <hwy/targets.h>

#include <functional>
#include <string>

namespace capstan {

// body(name) under each target; ends with the best one again.
inline void ForEveryTarget(const std::function<void(const std::string& name)>& body) {
  for (int64_t rest = hwy::SupportedTargets() & HWY_TARGETS; rest != 0; rest &= rest - 1) {
    const int64_t target = rest & -rest;
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    body(hwy::TargetName(target));
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
}

// AVX2 and better promise equal bits; older sets have no fused multiply-add.
inline bool HasFusedMultiplyAdd(const std::string& target) { return target.rfind("AVX", 0) == 0; }

}  // namespace capstan
