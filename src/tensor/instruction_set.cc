#include "tensor/instruction_set.h"

#include <hwy/targets.h>

namespace capstan {

std::string InstructionSetName() {
  const auto targets = static_cast<uint64_t>(hwy::SupportedTargets());
  // Better targets have lower bits.
  const uint64_t best = targets & (~targets + 1);
  return hwy::TargetName(static_cast<int64_t>(best));
}

}  // namespace capstan
