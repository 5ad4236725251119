#include "train/training_window.h"

#include "model/evaluation_accumulator.h"

namespace capstan {

TrainingWindow::TrainingWindow(const ModelSpec& spec, int64_t examples)
    : spec_(spec), examples_(examples) {}

void TrainingWindow::Add(const Batch& batch, std::span<const float> logits) {
  Entry entry;
  if (!entries_.empty() && held_ - entries_.front().batch.size + batch.size >= examples_) {
    entry = std::move(entries_.front());  // its memory is used again
    held_ -= entry.batch.size;
    entries_.pop_front();
  }
  entry.batch.size = batch.size;
  entry.batch.labels = batch.labels;
  entry.logits.assign(logits.begin(), logits.end());
  held_ += batch.size;
  entries_.push_back(std::move(entry));
}

EvaluationResult TrainingWindow::Result() const {
  EvaluationAccumulator accumulator(spec_);
  for (const Entry& entry : entries_) accumulator.Add(entry.batch, entry.logits);
  return accumulator.Result();
}

}  // namespace capstan
