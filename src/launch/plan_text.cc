#include "launch/plan.h"
#include "launch/shell_words.h"

namespace capstan {

std::string DescribePlan(const Plan& plan) {
  std::string text = fmt::format("job {}, {} run of {} tasks\n", plan.spec.name,
                                 NameOf(plan.engine), plan.spec.task_count());
  for (const std::string& warning : plan.warnings) text += "warning: " + warning + "\n";
  for (const RolePlan& role : plan.roles) {
    for (const TaskPlan& task : role.tasks) {
      text += fmt::format("\n{} {}{}\n", task.name, task.address, task.leads ? " leads" : "");
      if (!role.spec.program.image.empty() && plan.engine != EngineKind::kLocal) {
        text += "  image    " + role.spec.program.image + "\n";
      }
      const bool shared = plan.engine == EngineKind::kKubernetes;
      std::vector<std::string> words = shared ? role.command : task.command;
      const auto& args = shared ? role.args : task.args;
      words.insert(words.end(), args.begin(), args.end());
      text += "  command  " + (words.empty() ? "the image's own" : JoinShellWords(words)) + "\n";
      for (const EnvVar& var : shared ? role.env : task.env) {
        text += fmt::format("  env      {}={}\n", var.name, var.value);
      }
      for (const VolumeSpec& volume : role.spec.program.volumes) {
        text +=
            fmt::format("  volume   {} at {}\n",
                        volume.folder.empty() ? volume.source : volume.folder, volume.mount_path);
      }
    }
  }
  return text;
}

}  // namespace capstan
