// A training run of one process, from the first record to the export.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "base/worker_pool.h"
#include "data/batch_stream.h"
#include "model/model_spec.h"

namespace capstan {

// Features that ask for it are standardised by so many examples.
inline constexpr int64_t kStandardiseExamples = 100000;

struct SessionOptions {
  BatchStreamOptions train;          // files, batch size, epochs, shuffling, seed, threads
  BatchStreamOptions validation;     // no paths: no validation
  int slices = 8;                    // parts of a batch whose gradients are added in order
  int64_t max_steps = 0;             // 0: until the data is done
  int64_t steps_to_validate = 1000;  // a report every so many steps; 0: at the end only

  std::string checkpoint_path;  // "": no checkpoints
  std::string checkpoint_name = "checkpoint.ckpt";
  bool from_scratch = false;     // else a run goes on from the newest checkpoint
  double checkpoint_secs = 60;   // 0: not by time
  int64_t checkpoint_steps = 0;  // 0: not by steps
  int keep_checkpoints = 5;
  int64_t snapshot_buffer_mb = 256;

  std::string output_path;     // event files; "": none
  std::string model_path;      // SavedModels; "": none
  std::string warm_start;      // prefix or folder of a checkpoint to begin from
  std::string warm_start_map;  // "ours=theirs,ours=theirs"; "": the same names

  bool benchmark = false;  // only the steps: no reports, checkpoints, events, export
};

struct SessionProgress {
  int64_t step = 0;
  double fraction = 0;       // of all epochs, estimated
  double seconds_left = -1;  // estimated; negative: not known yet
  double examples_per_s = 0;
};

// What a run says and asks while it runs, all from the thread of Run().
struct SessionHooks {
  std::function<void(const std::string& line)> log = [](const std::string&) {};
  // A few times a second.
  std::function<void(const SessionProgress&)> progress = [](const SessionProgress&) {};
  // A task of a cluster: what it waits for; "": for nothing any more.
  std::function<void(const std::string& what)> waiting = [](const std::string&) {};
  // Asked after each step; true ends the run after a checkpoint.
  std::function<bool()> stop_requested = [] { return false; };
};

struct SessionResult {
  bool stopped = false;  // by stop_requested
  int64_t step = 0;
  int64_t examples = 0;  // trained by this process
  double seconds = 0;    // of steps, reports and waits, without opening and export
  std::string export_path;
};

// `fs`, `pool` and `clock` must outlive the call. Errors are whole sentences.
StatusOr<SessionResult> RunSession(FileSystem* fs, WorkerPool* pool, Clock* clock, ModelSpec spec,
                                   const SessionOptions& options, const SessionHooks& hooks);

}  // namespace capstan
