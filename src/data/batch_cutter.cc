#include "data/batch_cutter.h"

#include <algorithm>

namespace capstan {

BatchCutter::BatchCutter(int64_t batch_size, bool permuted, const InputPosition& start)
    : batch_size_(batch_size), permuted_(permuted), skip_(start.example), batch_(start.batch) {}

Status BatchCutter::Add(RecordBlock* block, bool is_last, std::vector<BatchTask>* tasks) {
  const bool ends_batch = block->ends_epoch || is_last;
  const size_t count = block->entries.size();
  if (skip_ > count) {
    return Error("read on at example {} of a block that has {}: files or settings have changed",
                 skip_, count);
  }
  size_t begin = skip_;
  skip_ = 0;
  while (begin < count || (ends_batch && waiting_ > 0)) {
    const size_t end = std::min(count, begin + batch_size_ - waiting_);
    if (end > begin) {
      task_.pieces.push_back({block, begin, end});
      ++block->uses;
    }
    waiting_ += end - begin;
    begin = end;
    if (waiting_ < batch_size_ && !(ends_batch && begin == count)) break;
    ++batch_;
    task_.sequence = sequence_++;
    task_.after = PositionAt(*block, begin, is_last);
    tasks->push_back(std::move(task_));
    task_ = BatchTask();
    waiting_ = 0;
  }
  if (block->ends_epoch) batch_ = 0;
  return OkStatus();
}

InputPosition BatchCutter::PositionAt(const RecordBlock& block, size_t index, bool is_last) const {
  InputPosition position;
  if (index == block.entries.size()) {
    position = block.next;
    position.batch = block.ends_epoch && !is_last ? 0 : batch_;
    return position;
  }
  position = block.start;
  position.batch = batch_;
  if (permuted_) {
    position.example = static_cast<int64_t>(index);
  } else {
    const RecordBlock::Entry& entry = block.entries[index];
    position.file = entry.file;
    position.record = entry.record;
    position.offset = static_cast<int64_t>(entry.offset);
  }
  return position;
}

}  // namespace capstan
