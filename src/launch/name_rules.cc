#include "launch/name_rules.h"

#include <algorithm>
#include <vector>

namespace capstan {
namespace {

bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlnum(char c) { return IsLower(c) || IsDigit(c) || (c >= 'A' && c <= 'Z'); }

bool IsDnsLabel(std::string_view name) {
  return !name.empty() && name.size() <= kMaxLabelBytes && name.front() != '-' &&
         name.back() != '-' && std::all_of(name.begin(), name.end(), [](char c) {
           return IsLower(c) || IsDigit(c) || c == '-';
         });
}

bool IsSubdomain(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t dot = std::min(name.find('.', begin), name.size());
    if (!IsDnsLabel(name.substr(begin, dot - begin))) return false;
    begin = dot + 1;
  }
  return true;
}

bool IsLabelText(std::string_view text) {
  return text.size() <= kMaxLabelBytes && !text.empty() && IsAlnum(text.front()) &&
         IsAlnum(text.back()) && std::all_of(text.begin(), text.end(), [](char c) {
           return IsAlnum(c) || c == '-' || c == '_' || c == '.';
         });
}

// The longest name that is made from the job's, as what stands behind the job's.
std::string LongestSuffix(const JobSpec& job) {
  std::vector<std::string> suffixes = {""};
  for (const RoleSpec& role : job.roles) {
    suffixes.push_back(TaskName("", role.role, role.replicas - 1));
  }
  if (!job.roles.empty() && job.security.token) suffixes.push_back(TokenName(""));
  if (job.tensorboard.has_value()) suffixes.push_back(TensorBoardName(""));
  if (job.serve.has_value() && !job.roles.empty()) suffixes.push_back("-serve");
  return *std::max_element(
      suffixes.begin(), suffixes.end(),
      [](const std::string& a, const std::string& b) { return a.size() < b.size(); });
}

}  // namespace

Status CheckDnsName(std::string_view what, std::string_view name) {
  if (IsDnsLabel(name) && IsLower(name.front())) return OkStatus();
  return Error(
      "{} '{}' is no DNS name, wanted at most 63 lower case letters, digits and '-', a letter "
      "first and no '-' last",
      what, name);
}

Status CheckDnsLabel(std::string_view what, std::string_view name) {
  if (IsDnsLabel(name)) return OkStatus();
  return Error("{} '{}' is no DNS label, wanted at most 63 lower case letters, digits and '-'",
               what, name);
}

Status CheckObjectName(std::string_view what, std::string_view name) {
  if (IsSubdomain(name)) return OkStatus();
  return Error("{} '{}' is no name of an object, wanted lower case letters, digits, '-' and '.'",
               what, name);
}

Status CheckLabelValue(std::string_view what, std::string_view value) {
  if (value.empty() || IsLabelText(value)) return OkStatus();
  return Error(
      "{} '{}' is no value of a label, wanted at most 63 letters, digits, '-', '_' and '.', a "
      "letter or digit at both ends",
      what, value);
}

Status CheckLabelKey(std::string_view what, std::string_view key) {
  const size_t slash = key.find('/');
  const bool good = slash == std::string_view::npos
                        ? IsLabelText(key)
                        : IsSubdomain(key.substr(0, slash)) && IsLabelText(key.substr(slash + 1));
  if (good) return OkStatus();
  return Error("{} '{}' is no key of a label, wanted name or domain/name", what, key);
}

std::string RoleName(const std::string& job, JobRole role) {
  return fmt::format("{}-{}", job, NameOf(role));
}

std::string TaskName(const std::string& job, JobRole role, int index) {
  return fmt::format("{}-{}-{}", job, NameOf(role), index);
}

std::string TokenName(const std::string& job) { return job + "-token"; }

std::string TensorBoardName(const std::string& job) { return job + "-tensorboard"; }

std::string ServeName(const JobSpec& job) {
  return job.roles.empty() ? job.name : job.name + "-serve";
}

Status CheckJobNames(const JobSpec& job) {
  const std::string suffix = LongestSuffix(job);
  const size_t longest = kMaxLabelBytes - suffix.size();
  // Too long is told with the number that helps, whatever else is wrong.
  if (job.name.size() > longest) {
    return Error(
        "job name '{}' has {} characters, which makes {}{} {} of at most {}: the longest name for "
        "this job has {}",
        job.name, job.name.size(), job.name, suffix, job.name.size() + suffix.size(),
        kMaxLabelBytes, longest);
  }
  return CheckDnsName("job name", job.name);
}

}  // namespace capstan
