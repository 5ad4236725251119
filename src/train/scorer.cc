#include "train/scorer.h"

#include <algorithm>

#include "model/evaluation_accumulator.h"

namespace capstan {
namespace {
// Examples per task: enough for the matrix products, few enough to share out.
constexpr int kSlice = 256;
}  // namespace

StatusOr<std::unique_ptr<Scorer>> Scorer::Create(const Model* model, Parameters* parameters,
                                                 WorkerPool* pool, int max_batch) {
  std::unique_ptr<Scorer> scorer(new Scorer(model, parameters, pool));
  scorer->slice_ = std::min(kSlice, max_batch);
  std::vector<PulledRowFormat> formats;
  for (size_t t = 0; t < parameters->tables().size(); ++t) {
    formats.push_back(parameters->row_format(static_cast<int>(t)));
  }
  for (int worker = 0; worker < pool->workers(); ++worker) {
    ASSIGN_OR_RETURN(std::unique_ptr<Workspace> workspace,
                     model->NewWorkspace(formats, scorer->slice_));
    scorer->workspaces_.push_back(std::move(workspace));
  }
  return scorer;
}

Scorer::Scorer(const Model* model, Parameters* parameters, WorkerPool* pool)
    : model_(model), parameters_(parameters), pool_(pool), keys_(*model) {}

Status Scorer::Score(const Batch& batch, std::vector<float>* logits) {
  keys_.Build(batch, pool_);
  RETURN_IF_ERROR(parameters_->Lookup(keys_.tables(), &pulled_));
  rows_.rows.clear();
  for (const auto& rows : pulled_.rows) rows_.rows.push_back(rows.data());
  rows_.index = keys_.index();
  const int outputs = OutputCount(model_->spec());
  logits->resize(static_cast<size_t>(batch.size) * outputs);
  const float* dense = parameters_->dense().data();
  pool_->ParallelFor((batch.size + slice_ - 1) / slice_, [&](int64_t task, int worker) {
    const int begin = static_cast<int>(task) * slice_;
    const SliceInput input{.batch = &batch,
                           .rows = &rows_,
                           .dense = dense,
                           .begin = begin,
                           .end = std::min(begin + slice_, batch.size)};
    model_->Forward(input, workspaces_[worker].get(),
                    logits->data() + static_cast<size_t>(begin) * outputs);
  });
  return OkStatus();
}

StatusOr<EvaluationResult> Evaluate(FileSystem& fs, const BatchStreamOptions& options,
                                    Scorer* scorer) {
  const ModelSpec& spec = scorer->model().spec();
  ASSIGN_OR_RETURN(std::unique_ptr<BatchStream> stream,
                   BatchStream::Open(fs, spec.input, options, InputPosition()));
  EvaluationAccumulator accumulator(spec);
  std::unique_ptr<Batch> batch;
  std::vector<float> logits;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, stream->Next(&batch));
    if (!more) return accumulator.Result();
    RETURN_IF_ERROR(scorer->Score(*batch, &logits));
    accumulator.Add(*batch, logits);
  }
}

}  // namespace capstan
