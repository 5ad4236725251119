// Job files and TFJob manifests: parsed, planned for each engine, rendered.
#include <cstdint>
#include <string>
#include <vector>

#include "launch/job_file.h"
#include "launch/kubernetes_objects.h"
#include "launch/plan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace capstan;
  StatusOr<JobSpec> job = ParseJob(std::string(reinterpret_cast<const char*>(data), size), "f");
  // A file may ask for 65,536 tasks of each role, which is work and no fault.
  if (!job.ok() || job->task_count() > 1000) return 0;
  for (const EngineKind engine :
       {EngineKind::kLocal, EngineKind::kDocker, EngineKind::kKubernetes}) {
    for (const bool one_job : {false, true}) {
      const StatusOr<Plan> plan =
          MakePlan(*job, {.engine = engine,
                          .allow_ephemeral = true,
                          .one_job = one_job,
                          .choose_port = []() -> StatusOr<int> { return 1; }});
      if (!plan.ok()) continue;
      DescribePlan(*plan);
      std::vector<std::string> warnings;
      const auto objects = RenderObjects(*plan, {}, &warnings);
      if (objects.ok()) ObjectsAsYaml(*objects);
    }
  }
  return 0;
}
