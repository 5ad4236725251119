// The TensorBoard side of a run: the tags of the 2018 script, one event file per run.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/status.h"
#include "formats/event_file.h"
#include "model/model.h"
#include "train/report_line.h"

namespace capstan {

class SessionEvents {
 public:
  // Makes the folder and the file, with the model's graph in it. `clock` must outlive this.
  static StatusOr<std::unique_ptr<SessionEvents>> Open(FileSystem& fs, const std::string& folder,
                                                       Clock& clock, const Model& model);

  // loss, train_accuracy, train_auc, validate_accuracy, validate_auc (regression: validate_rmse,
  // validate_r2), validate_loss, validate_log_loss, validate_calibration, global_step/sec,
  // examples/sec. Values that are not numbers are left out. `steps`: since the last report.
  Status Write(const Report& report, int64_t steps);

 private:
  SessionEvents(Clock& clock, bool regression, std::unique_ptr<EventFileWriter> writer);

  Clock& clock_;
  const bool regression_;
  const std::unique_ptr<EventFileWriter> writer_;
};

}  // namespace capstan
