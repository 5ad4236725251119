// capstan inspect PATH …
#include <cstdio>
#include <vector>

#include "base/exit_code.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/inspect.h"
#include "cli/inspect_flags.h"

namespace capstan {

void AddInspectFlags(FlagSet* flags, InspectOptions* options, std::vector<std::string>* paths) {
  flags->AddWords("PATH …", paths,
                  "TFRecord, event file, checkpoint (prefix, file or folder), SavedModel");
  flags->Add("json", &options->json, "one JSON object instead of text");
  flags->Add("digest", &options->digest,
             "only a digest: equal for equal content, whatever the order of rows and shards");
  flags->Add("values", &options->values, "comma list of tensors whose values are shown");
  flags->Add("max_values", &options->max_values, "values shown of one tensor, at most");
  flags->Add("examples", &options->examples, "records of a TFRecord that are shown");
}

int InspectCommand(const Args& args) {
  FlagSet flags("inspect", "what is in a TFRecord, checkpoint, SavedModel or event file");
  InspectOptions options;
  std::vector<std::string> paths;
  AddInspectFlags(&flags, &options, &paths);
  int exit_code = kExitOk;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  if (paths.empty()) return FailUsage("inspect", Error("a path is missing"));
  if (options.max_values < 0 || options.examples < 0) {
    return FailUsage("inspect", Error("--max_values and --examples cannot be negative"));
  }
  const auto fs = NewLocalFileSystem();
  for (const std::string& path : paths) {
    const StatusOr<std::string> text = Inspect(*fs, path, options);
    if (!text.ok()) return Fail("inspect", text.status());
    std::fputs(text->c_str(), stdout);
  }
  return kExitOk;
}

}  // namespace capstan
