#include "cli/file_scoring.h"

#include <sstream>

#include "base/worker_pool.h"
#include "model/evaluation_accumulator.h"
#include "train/model_state.h"
#include "train/prediction_writer.h"
#include "train/report_line.h"
#include "train/scorer.h"

namespace capstan {
namespace {

StatusOr<ModelSpec> SpecOf(FileSystem& fs, const FileScoringOptions& options,
                           const ModelSource& source) {
  StatusOr<ModelSpec> carried = ReadCarriedModelSpec(fs, source);
  if (!carried.ok() && absl::IsNotFound(carried.status()) && options.spec != nullptr) {
    carried = *options.spec;
  }
  RETURN_IF_ERROR(carried.status());
  ModelSpec spec = *std::move(carried);
  InputSpec& input = spec.input;
  if (!options.group.empty()) input.group = options.group;
  if (!options.example_weight.empty()) input.example_weight = options.example_weight;
  if (!options.id_columns.empty()) {
    input.id_columns.clear();
    std::istringstream stream(options.id_columns);
    std::string column;
    while (std::getline(stream, column, ',')) input.id_columns.push_back(column);
  }
  if (!options.evaluate) {  // nothing that only metrics need has to be in the files
    input.wants_label = false;
    input.group.clear();
    input.example_weight.clear();
  }
  return spec;
}

}  // namespace

Status ScoreFiles(FileSystem& fs, const FileScoringOptions& options) {
  ASSIGN_OR_RETURN(const ModelSource source, FindModelSource(fs, options.source));
  ASSIGN_OR_RETURN(const ModelSpec spec, SpecOf(fs, options, source));
  WorkerPool pool(options.threads);
  ASSIGN_OR_RETURN(ModelState state, LoadModelState(fs, source, spec, &pool));
  ASSIGN_OR_RETURN(std::unique_ptr<BatchStream> stream,
                   BatchStream::Open(fs, spec.input, options.stream, InputPosition()));
  ASSIGN_OR_RETURN(
      std::unique_ptr<Scorer> scorer,
      Scorer::Create(state.model.get(), state.parameters.get(), &pool, options.stream.batch_size));
  std::unique_ptr<PredictionWriter> writer;
  if (!options.output.empty()) {
    ASSIGN_OR_RETURN(const PredictionFormat format,
                     ParsePredictionFormat(options.output_format, options.output));
    ASSIGN_OR_RETURN(writer, NewPredictionWriter(fs, options.output, format, spec));
  }
  options.log(fmt::format("read the model from {}, the records from {}", source.prefix,
                          stream->report().text));

  EvaluationAccumulator accumulator(spec);
  std::unique_ptr<Batch> batch;
  std::vector<float> logits;
  int64_t examples = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, stream->Next(&batch));
    if (!more) break;
    RETURN_IF_ERROR(scorer->Score(*batch, &logits));
    if (options.evaluate) accumulator.Add(*batch, logits);
    if (writer != nullptr) RETURN_IF_ERROR(writer->Write(*batch, logits));
    examples += batch->size;
  }
  if (writer != nullptr) {
    RETURN_IF_ERROR(writer->Close());
    options.log(fmt::format("wrote {} predictions to {}", examples, options.output));
  }
  if (options.evaluate) {
    const EvaluationResult result = accumulator.Result();
    options.log(EvaluationLine(spec, result));
    options.result(result);
  }
  return OkStatus();
}

}  // namespace capstan
