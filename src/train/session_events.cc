#include "train/session_events.h"

#include <unistd.h>

#include <cmath>

#include "model/graph_export.h"
#include "tensorflow/meta_graph.pb.h"

namespace capstan {
namespace {

std::string HostName() {
  char name[256] = "localhost";
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

}  // namespace

SessionEvents::SessionEvents(Clock& clock, bool regression, std::unique_ptr<EventFileWriter> writer)
    : clock_(clock), regression_(regression), writer_(std::move(writer)) {}

StatusOr<std::unique_ptr<SessionEvents>> SessionEvents::Open(FileSystem& fs,
                                                             const std::string& folder,
                                                             Clock& clock, const Model& model) {
  RETURN_IF_ERROR(fs.CreateFolder(folder));
  const std::vector<int64_t> rows(model.tables().size(), 1);
  ASSIGN_OR_RETURN(const std::unique_ptr<tensorflow::MetaGraphDef> graph,
                   BuildServingGraph(model, rows));
  ASSIGN_OR_RETURN(std::unique_ptr<EventFileWriter> writer,
                   EventFileWriter::Create(fs, folder, clock.WallSeconds(), HostName(), ""));
  RETURN_IF_ERROR(writer->WriteGraph(clock.WallSeconds(), graph->graph_def().SerializeAsString()));
  return std::unique_ptr<SessionEvents>(
      new SessionEvents(clock, model.spec().loss == Loss::kMeanSquare, std::move(writer)));
}

Status SessionEvents::Write(const Report& report, int64_t steps) {
  std::vector<ScalarEvent> scalars;
  const auto add = [&scalars](const char* tag, double value) {
    if (std::isfinite(value)) scalars.push_back({tag, static_cast<float>(value)});
  };
  const EvaluationResult& validation = report.validation;
  add("loss", report.loss);
  if (!regression_) {
    add("train_accuracy", report.train_accuracy);
    add("train_auc", report.train_auc);
  }
  if (report.validated) {
    if (regression_) {
      add("validate_rmse", validation.rmse);
      add("validate_r2", validation.r2);
    } else {
      add("validate_accuracy", validation.accuracy);
      add("validate_auc", validation.auc);
      add("validate_log_loss", validation.log_loss);
    }
    add("validate_loss", validation.loss);
    add("validate_calibration", validation.calibration);
  }
  const double seconds = std::chrono::duration<double>(report.since_last).count();
  if (seconds > 0) add("global_step/sec", static_cast<double>(steps) / seconds);
  add("examples/sec", report.examples_per_s);
  return writer_->WriteScalars(clock_.WallSeconds(), report.step, scalars);
}

}  // namespace capstan
