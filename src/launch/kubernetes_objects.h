// A plan as core Kubernetes objects, in the order in which they are written. Nothing but batch/v1,
// v1, apps/v1, autoscaling/v2 and policy/v1 is needed in the cluster; a gang route or a gateway
// adds one object of its own group.
//
//   layout L2                              layout L1
//   Job <j>-worker  anchor, suspended      Job <j>  anchor, suspended; all tasks
//   Service <j>     headless               Service <j>
//   Secret <j>-token                       Secret <j>-token
//   PodGroup <j>, PodDisruptionBudgets     PodGroup <j>
//   Job <j>-ps, <j>-evaluator, …
//
// The anchor is the Job whose end is the job's end: <j>-chief where there is a chief, else
// <j>-worker. All other objects belong to it (ownerReferences), but for those of `serve`, which
// stay. After all are written the anchor is un-suspended, which starts the job; with gang route
// kueue that is Kueue's to do.
//
//   Kubernetes 1.24 – 1.30   restartPolicy OnFailure and backoffLimit; no failure table
//   1.31 – 1.33              podFailurePolicy, backoffLimitPerIndex, successPolicy,
//                            podReplacementPolicy
//   1.34 and newer           preStop sleep without a shell
//   1.36, 1.37 and newer     native PodGroup v1alpha2, v1beta1 (route podgroup)
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "launch/plan.h"

namespace capstan {

inline constexpr int kOldestKubernetesMinor = 24;

struct KubernetesTarget {
  int minor = 36;                     // Kubernetes 1.minor
  GangRoute gang = GangRoute::kAuto;  // kAuto: the file's, and none where that is auto too
};

// "1.36" or "v1.36.3" → 36. Versions before 1.24 are refused with the reason.
StatusOr<int> ParseKubernetesMinor(const std::string& version);

// What only a submit knows stands for it in rendered objects.
inline constexpr char kAnchorUid[] = "00000000-0000-0000-0000-000000000000";
inline constexpr char kTokenPlaceholder[] = "made-by-submit";

// On every object; pods of training tasks carry the first two.
inline constexpr char kJobLabel[] = "capstan/job";
inline constexpr char kRoleLabel[] = "capstan/role";
inline constexpr char kServeLabel[] = "capstan/serve";
inline constexpr char kBoardLabel[] = "capstan/tensorboard";
// On the anchor, beside the job's outline (launch/job_outline.h): seconds until all tasks must run,
// for whoever looks after the job.
inline constexpr char kStartTimeoutAnnotation[] = "capstan/start-timeout-seconds";

struct KubernetesObject {
  std::string api_version;  // "batch/v1"
  std::string kind;         // "Job"
  std::string resource;     // "jobs", as in the API's paths
  std::string name;
  std::string json;  // the whole object, keys in a fixed order
  bool is_anchor = false;
  // Whether ownerReferences hold kAnchorUid, which the submit replaces by the anchor's.
  bool is_owned = false;
};

// Errors name what cannot be rendered for this version; `warnings` receives what is lost there.
StatusOr<std::vector<KubernetesObject>> RenderObjects(const Plan& plan,
                                                      const KubernetesTarget& target,
                                                      std::vector<std::string>* warnings);

// YAML documents, or a JSON list of kind List.
std::string ObjectsAsYaml(const std::vector<KubernetesObject>& objects);
std::string ObjectsAsJson(const std::vector<KubernetesObject>& objects);

}  // namespace capstan
