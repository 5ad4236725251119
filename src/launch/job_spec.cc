#include "launch/job_spec.h"

#include "base/nearest.h"

namespace capstan {

std::string_view NameOf(JobRole role) {
  switch (role) {
    case JobRole::kChief:
      return "chief";
    case JobRole::kWorker:
      return "worker";
    case JobRole::kPs:
      return "ps";
    case JobRole::kEvaluator:
      return "evaluator";
  }
  return "unknown";
}

std::string_view NameOf(GangRoute route) {
  switch (route) {
    case GangRoute::kAuto:
      return "auto";
    case GangRoute::kNone:
      return "none";
    case GangRoute::kPodGroup:
      return "podgroup";
    case GangRoute::kCoscheduling:
      return "coscheduling";
    case GangRoute::kVolcano:
      return "volcano";
    case GangRoute::kKueue:
      return "kueue";
  }
  return "unknown";
}

StatusOr<GangRoute> ParseGangRoute(std::string_view word) {
  std::vector<std::string> known;
  for (const GangRoute route : {GangRoute::kAuto, GangRoute::kNone, GangRoute::kPodGroup,
                                GangRoute::kCoscheduling, GangRoute::kVolcano, GangRoute::kKueue}) {
    if (NameOf(route) == word) return route;
    known.emplace_back(NameOf(route));
  }
  return Error("unknown '{}', wanted one of {}{}", word, fmt::join(known, ", "),
               NearestHint(word, known));
}

const RoleSpec* JobSpec::Find(JobRole role) const {
  for (const RoleSpec& spec : roles) {
    if (spec.role == role) return &spec;
  }
  return nullptr;
}

int JobSpec::task_count() const {
  int count = 0;
  for (const RoleSpec& role : roles) count += role.replicas;
  return count;
}

JobRole JobSpec::leading_role() const {
  return Find(JobRole::kChief) != nullptr ? JobRole::kChief : JobRole::kWorker;
}

}  // namespace capstan
