#include "data/click_generator.h"

#include <algorithm>
#include <memory>

#include "data/best_possible.h"
#include "data/row_writer.h"
#include "formats/tfrecord_writer.h"

namespace capstan {
namespace {

constexpr int64_t kChunkRows = 2048;
constexpr int kChunksPerWorker = 4;

struct Chunk {
  int64_t begin = 0, end = 0;  // rows
  // Filled by a worker:
  std::string bytes;
  std::vector<uint32_t> record_ends;  // TFRecord
  double loss_sum = 0;
};

// A file under its temporary name.
class OutputFile {
 public:
  OutputFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".part") {}

  Status Create(FileSystem& fs, bool tfrecord, bool gzip) {
    if (tfrecord) {
      const Compression compression = gzip ? Compression::kGzip : Compression::kNone;
      ASSIGN_OR_RETURN(records_, TfRecordWriter::Create(fs, temporary_, compression));
    } else {
      ASSIGN_OR_RETURN(text_, fs.Create(temporary_));
    }
    return OkStatus();
  }
  Status Append(std::string_view bytes) { return text_->Append(bytes); }
  Status Append(const Chunk& chunk) {
    if (text_ != nullptr) return text_->Append(chunk.bytes);
    const std::string_view bytes = chunk.bytes;
    uint32_t begin = 0;
    for (const uint32_t end : chunk.record_ends) {
      RETURN_IF_ERROR(records_->Write(bytes.substr(begin, end - begin)));
      begin = end;
    }
    return OkStatus();
  }
  Status Close() {
    const Status status = records_ != nullptr ? records_->Close() : text_->Close();
    records_ = nullptr;
    text_ = nullptr;
    return status;
  }
  const std::string& path() const { return path_; }
  const std::string& temporary() const { return temporary_; }

 private:
  const std::string path_, temporary_;
  std::unique_ptr<TfRecordWriter> records_;
  std::unique_ptr<WritableFile> text_;
};

class Generator {
 public:
  Generator(FileSystem& fs, const ClickGeneratorOptions& options, RowKind kind, RecordFormat format,
            const Teacher& teacher, WorkerPool* pool)
      : fs_(fs),
        options_(options),
        format_(format),
        teacher_(teacher),
        pool_(pool),
        scores_(pool->workers()) {
    for (int i = 0; i < pool->workers(); ++i) {
      writers_.push_back(std::make_unique<RowWriter>(kind, format, teacher.cardinalities()));
    }
    const char* const ending = format == RecordFormat::kTfRecord ? "tfrecord"
                               : format == RecordFormat::kCriteo ? "tsv"
                                                                 : NameOf(format);
    for (int i = 0; i < options.files; ++i) {
      files_.push_back(std::make_unique<OutputFile>(
          fmt::format("{}-{:05}-of-{:05}.{}{}", options.prefix, i, options.files, ending,
                      options.gzip ? ".gz" : "")));
    }
  }

  StatusOr<GeneratedClicks> Run() {
    const Status status = WriteAll();
    if (!status.ok()) {
      for (const auto& file : files_) {
        if (fs_.Exists(file->temporary())) (void)fs_.Remove(file->temporary());
      }
      return status;
    }
    for (int i = 1; i < pool_->workers(); ++i) scores_[0].Merge(scores_[i]);
    result_.rows = options_.rows;
    result_.positive_rate = scores_[0].positive_rate();
    result_.best_auc = scores_[0].auc();
    result_.best_log_loss = loss_sum_ / static_cast<double>(options_.rows);
    return std::move(result_);
  }

 private:
  Status WriteAll() {
    RETURN_IF_ERROR(fs_.CreateFolder(FolderOf(options_.prefix)));
    const int64_t wave = static_cast<int64_t>(pool_->workers()) * kChunksPerWorker;
    std::vector<Chunk> chunks;
    for (int i = 0; i < options_.files; ++i) {
      const int64_t begin = options_.rows * i / options_.files;
      const int64_t end = options_.rows * (i + 1) / options_.files;
      RETURN_IF_ERROR(files_[i]->Create(fs_, format_ == RecordFormat::kTfRecord, options_.gzip));
      const std::string header = writers_[0]->Header();
      if (!header.empty()) RETURN_IF_ERROR(files_[i]->Append(header));
      for (int64_t first = begin; first < end; first += wave * kChunkRows) {
        const int64_t last = std::min(end, first + wave * kChunkRows);
        RETURN_IF_ERROR(WriteWave(files_[i].get(), first, last, &chunks));
      }
      RETURN_IF_ERROR(files_[i]->Close());
    }
    for (const auto& file : files_) {
      RETURN_IF_ERROR(fs_.Rename(file->temporary(), file->path()));
      result_.paths.push_back(file->path());
    }
    return OkStatus();
  }

  // Rows are made side by side and written in order.
  Status WriteWave(OutputFile* file, int64_t begin, int64_t end, std::vector<Chunk>* chunks) {
    const int64_t count = (end - begin + kChunkRows - 1) / kChunkRows;
    chunks->resize(count);
    pool_->ParallelFor(count, [&](int64_t index, int worker) {
      Chunk& chunk = (*chunks)[index];
      chunk.begin = begin + index * kChunkRows;
      chunk.end = std::min(end, chunk.begin + kChunkRows);
      MakeChunk(worker, &chunk);
    });
    for (const Chunk& chunk : *chunks) {
      RETURN_IF_ERROR(file->Append(chunk));
      loss_sum_ += chunk.loss_sum;
      result_.size_bytes += static_cast<int64_t>(chunk.bytes.size());
    }
    return OkStatus();
  }

  void MakeChunk(int worker, Chunk* chunk) {
    chunk->bytes.clear();
    chunk->record_ends.clear();
    chunk->loss_sum = 0;
    TeacherRow row;
    for (int64_t i = chunk->begin; i < chunk->end; ++i) {
      teacher_.MakeRow(options_.first_row + i, &row);
      scores_[worker].Add(row.logit, row.label);
      chunk->loss_sum += BestPossible::Loss(row.logit, row.label);
      writers_[worker]->Append(row, &chunk->bytes);
      if (format_ == RecordFormat::kTfRecord) {
        chunk->record_ends.push_back(static_cast<uint32_t>(chunk->bytes.size()));
      }
    }
  }

  FileSystem& fs_;
  const ClickGeneratorOptions& options_;
  const RecordFormat format_;
  const Teacher& teacher_;
  WorkerPool* const pool_;
  std::vector<BestPossible> scores_;                 // [worker]
  std::vector<std::unique_ptr<RowWriter>> writers_;  // [worker]
  std::vector<std::unique_ptr<OutputFile>> files_;
  double loss_sum_ = 0;
  GeneratedClicks result_;
};

}  // namespace

StatusOr<GeneratedClicks> GenerateClicks(FileSystem& fs, const ClickGeneratorOptions& options,
                                         WorkerPool* pool) {
  if (options.rows < 1 || options.first_row < 0 || options.files < 1 ||
      options.files > options.rows) {
    return Error("{} rows from {} in {} files: wanted 1 or more, 0 or more, 1 to as many as rows",
                 options.rows, options.first_row, options.files);
  }
  if (options.prefix.empty()) return Error("generated files have no prefix");
  ASSIGN_OR_RETURN(const RecordFormat format, RecordFormatByName(options.format));
  if (options.gzip && format != RecordFormat::kTfRecord) {
    return Error("{} cannot be written with gzip, only tfrecord can", options.format);
  }
  ASSIGN_OR_RETURN(const auto teacher, NewTeacher(options.kind, options.teacher));
  const RowKind kind = options.kind == "clicks"  ? RowKind::kClicks
                       : options.kind == "dense" ? RowKind::kDense
                                                 : RowKind::kSparse;
  RETURN_IF_ERROR(RowWriter::Check(kind, format));
  return Generator(fs, options, kind, format, *teacher, pool).Run();
}

}  // namespace capstan
