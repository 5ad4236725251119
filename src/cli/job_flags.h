// The flags of the commands that start or show a job from its file.
#pragma once

#include <functional>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "cli/flags.h"
#include "cli/kubernetes_choice.h"
#include "launch/kubernetes_objects.h"
#include "launch/plan.h"

namespace capstan {

struct JobFlags {
  std::string engine;  // holds the command's default when declared
  std::string namespace_name, layout = "L2", kubernetes_version = "1.36", gang;
  std::string supervisor_image = "capstan:latest";
  bool allow_ephemeral = false;
  bool unsupervised = false;
  KubernetesFlags cluster;  // but for the namespace
};

void DeclareJobFlags(FlagSet* flags, JobFlags* values);

// The job of a file, planned; wrong flags are usage errors. `choose_port` is for local runs.
StatusOr<Plan> PlanFromFlags(FileSystem& fs, const JobFlags& values, const std::string& path,
                             std::function<StatusOr<int>()> choose_port);

// Version and gang route as the flags say, for where no cluster is asked.
StatusOr<KubernetesTarget> TargetFromFlags(const JobFlags& values);

}  // namespace capstan
