// What is wrong with a job before anything is started; see MakePlan.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "launch/plan.h"

namespace capstan {

// All but the lengths of words, which are known when the plan is made.
Status CheckJob(const JobSpec& job, EngineKind engine, std::vector<std::string>* warnings);

// The kernel takes strings of at most 131,072 bytes, name, '=' and the final zero included.
inline constexpr size_t kMaxStringBytes = 131'072;
Status CheckStrings(const TaskPlan& task);

}  // namespace capstan
