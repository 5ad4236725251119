// What every command must know of a job that somebody else has submitted: kept as an annotation of
// its anchor.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "launch/kubernetes_objects.h"
#include "launch/plan.h"

namespace capstan {

inline constexpr char kOutlineAnnotation[] = "capstan/outline";
// Somebody wanted the anchor suspended: it does not wait for a submit to be finished.
inline constexpr char kSuspendedAnnotation[] = "capstan/suspended";

struct JobOutline {
  struct Role {
    JobRole role = JobRole::kWorker;
    int replicas = 0;
    int leading = 0;  // how many, from task 0, lead
    int port = 0;
    std::string job_name;  // Kubernetes Job
  };
  std::string hash;         // of what the job file asks for, whatever the cluster
  std::vector<Role> roles;  // in layout L1 the indexes of the one Job, in this order
  bool one_job = false;
  bool dynamic_workers = false;
  std::string cluster_domain;
  int64_t start_timeout_s = 0;

  const Role* Find(JobRole role) const;
  int task_count() const;
};

// `hashed`: the objects that the hash is of.
JobOutline OutlineOf(const Plan& plan, const std::vector<KubernetesObject>& hashed);
std::string OutlineText(const JobOutline& outline);
StatusOr<JobOutline> ParseOutline(const std::string& text);

// The objects with the outline on the anchor, and the wish to be suspended.
std::vector<KubernetesObject> WithOutline(const JobOutline& outline, bool suspended,
                                          std::vector<KubernetesObject> objects);
// Of an anchor as the API server gives it. kNotFound: it has none, so that it is not ours.
StatusOr<JobOutline> OutlineIn(const std::string& anchor);

}  // namespace capstan
