// Kubernetes' rules for names, which all engines keep so that one file runs on each.
#pragma once

#include <string>
#include <string_view>

#include "base/status.h"
#include "launch/job_spec.h"

namespace capstan {

inline constexpr size_t kMaxLabelBytes = 63;

// DNS-1035: lower case letters, digits and '-', a letter first, no '-' last, at most 63.
Status CheckDnsName(std::string_view what, std::string_view name);
// The same with a digit first allowed: DNS-1123 label, as names of volumes.
Status CheckDnsLabel(std::string_view what, std::string_view name);
// DNS-1123 subdomain, as names of claims and Secrets: labels joined by dots, at most 253.
Status CheckObjectName(std::string_view what, std::string_view name);
// At most 63 of letters, digits, '-', '_', '.', a letter or digit at both ends; or empty.
Status CheckLabelValue(std::string_view what, std::string_view value);
// "prefix/name" or "name".
Status CheckLabelKey(std::string_view what, std::string_view key);

// "<job>-ps"
std::string RoleName(const std::string& job, JobRole role);
// "<job>-ps-0"
std::string TaskName(const std::string& job, JobRole role, int index);
// Of the Service, the Secret and what serves the model.
std::string TokenName(const std::string& job);
std::string TensorBoardName(const std::string& job);
std::string ServeName(const JobSpec& job);

// The job's name and all that are derived from it; an error tells the longest allowed job name.
Status CheckJobNames(const JobSpec& job);

}  // namespace capstan
