#include "data/batch_stream.h"

#include <algorithm>
#include <deque>
#include <thread>

#include "base/mutex.h"
#include "data/batch_cutter.h"
#include "data/block_reader.h"
#include "data/input_report.h"
#include "data/record_parser.h"

namespace capstan {
namespace {

// Without shuffling, blocks are only a way to pass records on in numbers.
constexpr int64_t kUnshuffledBlock = 4096;
// One lease of asynchronous training.
constexpr int64_t kUnshuffledLease = 65536;
// One is read while the other is parsed.
constexpr size_t kMaxBlocks = 2;
constexpr size_t kShownBadRecords = 10;

// A parsed batch, waiting for its turn.
struct Parsed {
  bool ready = false;
  std::unique_ptr<Batch> batch;
  std::vector<Status> bad;  // whole sentences, in order
};

}  // namespace

// One thread reads blocks and cuts them into tasks, `threads` make batches of the tasks, Next()
// gives them out in order:
//
//   reader → tasks_ → parsers → ring_[sequence % size] → Next()
//     ^ free_blocks_ <-'  ^ spare_batches_ <-----------------'
//
// A task starts only when its place in the ring is free, so the ring bounds the batches and
// kMaxBlocks the records in memory.
class BatchStream::Rep {
 public:
  Rep(FileSystem& fs, const BatchStreamOptions& options, std::unique_ptr<const RowPlan> plan,
      TextLayout layout, const InputFormat& format, InputReport report, const InputPosition& start)
      : options_(options),
        plan_(std::move(plan)),
        layout_(std::move(layout)),
        format_(format.format),
        report_(std::move(report)),
        reader_(fs, BlockReaderOptionsOf(options, format)),
        cutter_(options.batch_size, options.shuffle_block > 0 || options.blocks > 0, start),
        window_(std::max(1, options.prefetch) + options.threads),
        ring_(window_),
        epoch_(start.epoch) {}

  ~Rep() {
    Stop();
    for (std::thread& thread : threads_) thread.join();
  }

  Status Start(const InputPosition& start) {
    RETURN_IF_ERROR(reader_.Start(start));
    if (options_.threads == 0) {
      inline_parser_ = NewRecordParser(*plan_, layout_);
      return OkStatus();
    }
    threads_.emplace_back([this] { ReadBlocks(); });
    for (int i = 0; i < options_.threads; ++i) {
      threads_.emplace_back([this] { ParseTasks(); });
    }
    return OkStatus();
  }

  StatusOr<bool> Next(std::unique_ptr<Batch>* batch);
  void Stop();
  const InputReport& report() const { return report_; }
  BadRecords bad_records() {
    MutexLock lock(&mutex_);
    return bad_records_;
  }

 private:
  void ReadBlocks();
  RecordBlock* TakeFreeBlock() REQUIRES(mutex_);
  bool MayRead() const REQUIRES(mutex_);
  bool CutBlock(RecordBlock* block, bool more) REQUIRES(mutex_);
  void ParseTasks();
  void ParseTask(const BatchTask& task, RecordParser* parser, Parsed* parsed) const;
  void ReleasePieces(const BatchTask& task) REQUIRES(mutex_);
  StatusOr<bool> WaitForNext(Parsed* parsed);
  StatusOr<bool> MakeNext(Parsed* parsed);
  Status CountBad(const Parsed& parsed) REQUIRES(mutex_);

  const BatchStreamOptions options_;
  const std::unique_ptr<const RowPlan> plan_;
  const TextLayout layout_;
  const RecordFormat format_;
  const InputReport report_;

  BlockReader reader_;  // the reading thread's
  BatchCutter cutter_;  // used under mutex_
  std::atomic<bool> stop_{false};
  std::unique_ptr<RecordParser> inline_parser_;  // 0 threads
  const int64_t window_;                         // batches of the ring

  Mutex mutex_;
  CondVar reader_wakes_, parsers_wake_, consumer_wakes_;
  std::vector<std::unique_ptr<RecordBlock>> blocks_ GUARDED_BY(mutex_);  // all that there are
  std::vector<RecordBlock*> free_blocks_ GUARDED_BY(mutex_);
  std::deque<BatchTask> tasks_ GUARDED_BY(mutex_);
  int64_t blocks_cut_ GUARDED_BY(mutex_) = 0;
  int64_t unparsed_ GUARDED_BY(mutex_) = 0;    // tasks made and not yet parsed
  int64_t task_count_ GUARDED_BY(mutex_) = 0;  // tasks made
  bool all_read_ GUARDED_BY(mutex_) = false;   // no more tasks will be made
  Status read_status_ GUARDED_BY(mutex_);      // why, if that is an error
  std::vector<Parsed> ring_ GUARDED_BY(mutex_);
  int64_t next_sequence_ GUARDED_BY(mutex_) = 0;  // that Next() gives out
  std::vector<std::unique_ptr<Batch>> spare_batches_ GUARDED_BY(mutex_);
  BadRecords bad_records_ GUARDED_BY(mutex_);
  int64_t epoch_ GUARDED_BY(mutex_);  // of the next batch
  int64_t bad_in_epoch_ GUARDED_BY(mutex_) = 0;
  Status failure_ GUARDED_BY(mutex_);  // once given out, always given out

  std::vector<std::thread> threads_;
};

void BatchStream::Rep::Stop() {
  MutexLock lock(&mutex_);
  stop_ = true;
  reader_wakes_.NotifyAll();
  parsers_wake_.NotifyAll();
  consumer_wakes_.NotifyAll();
}

// A batch may need several blocks: when nothing is left to parse, reading goes on in any case.
bool BatchStream::Rep::MayRead() const {
  return !free_blocks_.empty() || blocks_.size() < kMaxBlocks || unparsed_ == 0;
}

RecordBlock* BatchStream::Rep::TakeFreeBlock() {
  if (free_blocks_.empty()) {
    blocks_.push_back(std::make_unique<RecordBlock>());
    return blocks_.back().get();
  }
  RecordBlock* const block = free_blocks_.back();
  free_blocks_.pop_back();
  return block;
}

// Makes tasks of a block that was read. False when there will be no other.
bool BatchStream::Rep::CutBlock(RecordBlock* block, bool more) {
  std::vector<BatchTask> tasks;
  if (more) {
    const bool last = ++blocks_cut_ == options_.blocks;
    read_status_ = cutter_.Add(block, last, &tasks);
    more = read_status_.ok() && !last;
  }
  if (block->uses == 0) free_blocks_.push_back(block);
  unparsed_ += static_cast<int64_t>(tasks.size());
  task_count_ += static_cast<int64_t>(tasks.size());
  for (BatchTask& task : tasks) tasks_.push_back(std::move(task));
  all_read_ = !more;
  return more;
}

void BatchStream::Rep::ReadBlocks() {
  for (bool more = true; more;) {
    RecordBlock* block = nullptr;
    {
      MutexLock lock(&mutex_);
      while (!stop_ && !MayRead()) reader_wakes_.Wait(&mutex_);
      if (stop_) return;
      block = TakeFreeBlock();
      block->Clear();
    }
    more = reader_.Next(stop_, block);
    MutexLock lock(&mutex_);
    if (stop_) return;
    more = CutBlock(block, more);
    parsers_wake_.NotifyAll();
    consumer_wakes_.NotifyAll();
  }
}

void BatchStream::Rep::ParseTasks() {
  const std::unique_ptr<RecordParser> parser = NewRecordParser(*plan_, layout_);
  for (;;) {
    BatchTask task;
    Parsed parsed;
    {
      MutexLock lock(&mutex_);
      while (!stop_ && !(all_read_ && tasks_.empty()) &&
             (tasks_.empty() || tasks_.front().sequence >= next_sequence_ + window_)) {
        parsers_wake_.Wait(&mutex_);
      }
      if (stop_ || tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
      if (!spare_batches_.empty()) {
        parsed.batch = std::move(spare_batches_.back());
        spare_batches_.pop_back();
      }
    }
    ParseTask(task, parser.get(), &parsed);
    MutexLock lock(&mutex_);
    ReleasePieces(task);
    ring_[task.sequence % window_] = std::move(parsed);
    if (task.sequence == next_sequence_) consumer_wakes_.NotifyAll();
  }
}

void BatchStream::Rep::ParseTask(const BatchTask& task, RecordParser* parser,
                                 Parsed* parsed) const {
  if (parsed->batch == nullptr) parsed->batch = std::make_unique<Batch>();
  std::vector<RawRecord> records;
  std::vector<std::pair<const RecordBlock*, const RecordBlock::Entry*>> sources;
  for (const BatchTask::Piece& piece : task.pieces) {
    const RecordBlock& block = *piece.block;
    for (size_t i = piece.begin; i < piece.end; ++i) {
      const RecordBlock::Entry& entry = block.entries[block.order[i]];
      const Status* damage = entry.damage < 0 ? nullptr : &block.damages[entry.damage];
      records.push_back({entry.bytes(), damage});
      sources.push_back({&block, &entry});
    }
  }
  std::vector<BadRow> bad;
  parser->Parse(records, options_.max_bad_records == 0, parsed->batch.get(), &bad);
  for (const BadRow& row : bad) {
    const auto& [block, entry] = sources[row.index];
    if (entry->damage >= 0) {
      parsed->bad.push_back(row.reason);
      continue;
    }
    const std::string& path = options_.paths[block->file_order[entry->file]];
    parsed->bad.push_back(
        Annotate(row.reason, PlaceText(format_, path, {entry->record, entry->offset})));
  }
  parsed->batch->position = task.after;
  parsed->ready = true;
}

void BatchStream::Rep::ReleasePieces(const BatchTask& task) {
  --unparsed_;
  for (const BatchTask::Piece& piece : task.pieces) {
    if (--piece.block->uses == 0) free_blocks_.push_back(piece.block);
  }
  reader_wakes_.NotifyAll();
}

StatusOr<bool> BatchStream::Rep::Next(std::unique_ptr<Batch>* batch) {
  {
    MutexLock lock(&mutex_);
    if (!failure_.ok()) return failure_;
    if (*batch != nullptr) spare_batches_.push_back(std::move(*batch));
    batch->reset();
  }
  for (;;) {
    Parsed parsed;
    const StatusOr<bool> more = threads_.empty() ? MakeNext(&parsed) : WaitForNext(&parsed);
    MutexLock lock(&mutex_);
    if (more.ok() && !*more) return false;
    failure_ = more.ok() ? CountBad(parsed) : more.status();
    if (!failure_.ok()) return failure_;
    if (parsed.batch->size > 0) {
      *batch = std::move(parsed.batch);
      return true;
    }
    spare_batches_.push_back(std::move(parsed.batch));
  }
}

StatusOr<bool> BatchStream::Rep::WaitForNext(Parsed* parsed) {
  MutexLock lock(&mutex_);
  for (;;) {
    if (stop_) return false;
    Parsed& turn = ring_[next_sequence_ % window_];
    if (turn.ready) {
      *parsed = std::move(turn);
      turn = Parsed();
      ++next_sequence_;
      parsers_wake_.NotifyAll();
      return true;
    }
    if (all_read_ && next_sequence_ == task_count_) {
      if (!read_status_.ok()) return read_status_;
      return false;
    }
    consumer_wakes_.Wait(&mutex_);
  }
}

// Everything in the calling thread.
StatusOr<bool> BatchStream::Rep::MakeNext(Parsed* parsed) {
  BatchTask task;
  for (;;) {
    RecordBlock* block = nullptr;
    {
      MutexLock lock(&mutex_);
      if (stop_) return false;
      if (!tasks_.empty()) {
        task = std::move(tasks_.front());
        tasks_.pop_front();
        if (!spare_batches_.empty()) {
          parsed->batch = std::move(spare_batches_.back());
          spare_batches_.pop_back();
        }
        break;
      }
      if (all_read_) {
        if (!read_status_.ok()) return read_status_;
        return false;
      }
      block = TakeFreeBlock();
      block->Clear();
    }
    const bool more = reader_.Next(stop_, block);
    MutexLock lock(&mutex_);
    CutBlock(block, more);
  }
  ParseTask(task, inline_parser_.get(), parsed);
  MutexLock lock(&mutex_);
  ReleasePieces(task);
  return true;
}

// Adds to the bad records; an error once there are too many. Each epoch meets the same ones: the
// epoch with the most counts.
Status BatchStream::Rep::CountBad(const Parsed& parsed) {
  std::vector<std::string>& first = bad_records_.first;
  for (const Status& reason : parsed.bad) {
    if (++bad_in_epoch_ <= bad_records_.count) continue;
    bad_records_.count = bad_in_epoch_;
    const std::string message = Message(reason);
    if (first.size() < kShownBadRecords &&
        std::find(first.begin(), first.end(), message) == first.end()) {
      first.push_back(message);
    }
    const int64_t most = options_.max_bad_records;
    if (bad_records_.count <= most) continue;
    if (most == 0) return reason;
    return MakeStatus(reason.code(),
                      fmt::format("{}; this is bad record {}, at most {} are allowed", message,
                                  bad_records_.count, most));
  }
  if (parsed.batch->position.epoch != epoch_) bad_in_epoch_ = 0;
  epoch_ = parsed.batch->position.epoch;
  return OkStatus();
}

BatchStream::BatchStream(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
BatchStream::~BatchStream() = default;

StatusOr<std::unique_ptr<BatchStream>> BatchStream::Open(FileSystem& fs, const InputSpec& spec,
                                                         const BatchStreamOptions& options,
                                                         const InputPosition& start) {
  if (options.paths.empty()) return Error("there are no files to read");
  if (options.batch_size < 1 || options.shuffle_block < 0 || options.threads < 0 ||
      options.max_bad_records < 0 || options.blocks < 0) {
    return Error(
        "batch size {}, shuffle block {}, {} threads, {} bad records allowed, {} blocks: wanted 1, "
        "0, 0, 0, 0 or more",
        options.batch_size, options.shuffle_block, options.threads, options.max_bad_records,
        options.blocks);
  }
  ASSIGN_OR_RETURN(auto plan, MakeRowPlan(spec));
  const std::string& path = options.paths[0];
  ASSIGN_OR_RETURN(const InputSample sample,
                   LookAtInput(fs, path, options.format, spec.csv_columns));
  ASSIGN_OR_RETURN(TextLayout layout, MakeTextLayout(*plan, sample, path));
  ASSIGN_OR_RETURN(InputReport report, MakeInputReport(*plan, layout, sample, path));
  auto rep = std::make_unique<Rep>(fs, options, std::move(plan), std::move(layout), sample.format,
                                   std::move(report), start);
  RETURN_IF_ERROR(rep->Start(start));
  return std::unique_ptr<BatchStream>(new BatchStream(std::move(rep)));
}

StatusOr<bool> BatchStream::Next(std::unique_ptr<Batch>* batch) { return rep_->Next(batch); }
void BatchStream::Stop() { rep_->Stop(); }
const InputReport& BatchStream::report() const { return rep_->report(); }
BadRecords BatchStream::bad_records() const { return rep_->bad_records(); }

BlockReaderOptions BlockReaderOptionsOf(const BatchStreamOptions& options,
                                        const InputFormat& format) {
  const bool permute = options.shuffle_block > 0;
  const bool is_lease = options.blocks > 0;
  const int64_t batch_size = options.batch_size;
  BlockReaderOptions reader;
  reader.permute = permute;
  RecordWalkOptions& records = reader.records;
  records.paths = options.paths;
  records.format = format;
  records.epochs = options.epochs;
  records.seed = options.seed;
  records.permute_files = permute;
  records.number_blocks = permute || is_lease;
  if (permute) {
    records.block_records = options.shuffle_block;
  } else if (is_lease) {
    records.block_records = std::max(batch_size, kUnshuffledLease / batch_size * batch_size);
  } else {
    records.block_records = std::max(batch_size, kUnshuffledBlock);
  }
  return reader;
}

}  // namespace capstan
