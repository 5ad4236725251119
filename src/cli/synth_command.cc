// `capstan synth`.
#include <cstdio>

#include "base/exit_code.h"
#include "base/file_system.h"
#include "base/worker_pool.h"
#include "cli/commands.h"
#include "cli/flags.h"
#include "cli/train_flags.h"
#include "data/click_generator.h"

namespace capstan {

int SynthCommand(const Args& args) {
  ClickGeneratorOptions options;
  options.rows = 100000;
  int64_t seed = 0;
  int threads = 0;
  FlagSet flags("synth", "generates data from a known truth and tells the best possible AUC");
  flags.Add(
      "kind", &options.kind,
      "clicks: 13 numbers and 26 ids like Criteo's; dense: 9 numbers; sparse: ids and values");
  flags.Add("rows", &options.rows, "examples to write");
  flags.Add("first_row", &options.first_row,
            "where to begin in the endless data of this seed: validation data of the same truth "
            "begins behind the training data");
  flags.Add("seed", &seed, "of the truth and of the examples");
  flags.Add("scale", &options.teacher.scale, "factor on the Kaggle-Criteo cardinalities");
  flags.Add("cap", &options.teacher.cap, "most ids of one feature");
  flags.Add("output", &options.prefix, "files are OUTPUT-00000-of-0000N.ENDING", {"prefix"});
  flags.Add("files", &options.files, "files to spread the rows over");
  flags.Add("format", &options.format, "tfrecord, csv, libsvm, criteo");
  flags.Add("gzip", &options.gzip, "compressed TFRecords");
  flags.Add("threads", &threads, "that generate; 0: one per processor");
  int exit_code = 0;
  if (!ParseFlags(&flags, args, &exit_code)) return exit_code;
  if (options.prefix.empty()) return FailUsage("synth", Error("flag --output is missing"));
  options.teacher.seed = static_cast<uint64_t>(seed);

  const std::unique_ptr<FileSystem> fs = NewLocalFileSystem();
  WorkerPool pool(ThreadCount(threads));
  const StatusOr<GeneratedClicks> generated = GenerateClicks(*fs, options, &pool);
  if (absl::IsInvalidArgument(generated.status())) return FailUsage("synth", generated.status());
  if (!generated.ok()) return Fail("synth", generated.status());
  std::printf("wrote %lld rows, %.1f MB, to %zu file%s: %s%s\n",
              static_cast<long long>(generated->rows), generated->size_bytes / 1e6,
              generated->paths.size(), generated->paths.size() == 1 ? "" : "s",
              generated->paths.front().c_str(), generated->paths.size() == 1 ? "" : " …");
  std::printf("positive: %.4f, best possible auc: %.5f, log_loss: %.5f\n", generated->positive_rate,
              generated->best_auc, generated->best_log_loss);
  return kExitOk;
}

}  // namespace capstan
