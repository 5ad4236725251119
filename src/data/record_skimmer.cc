#include "data/record_skimmer.h"

#include <algorithm>
#include <vector>

#include "base/crc32c.h"
#include "formats/byte_source.h"
#include "formats/little_endian.h"
#include "formats/tfrecord.h"
#include "formats/tfrecord_reader.h"

namespace capstan {
namespace {

// Small enough for the second-level cache. Short records are cheaper to read through than to seek
// over.
constexpr size_t kWindowBytes = 1 << 18;
// Behind a record so long, only the next header is read.
constexpr uint64_t kLongRecordBytes = 1 << 15;
constexpr size_t kShortWindowBytes = 1 << 9;

bool IsHeader(const char* header) { return MaskCrc(Crc32c(header, 8)) == LoadLittle32(header + 8); }

// The window holds the file's bytes [window_start_, window_start_ + window_size_).
class RecordHops : public RecordReader {
 public:
  RecordHops(FileSystem& fs, std::unique_ptr<ReadableFile> file)
      : fs_(fs), file_(std::move(file)), window_(kWindowBytes) {}

  StatusOr<bool> Next(std::string_view* record) override {
    *record = {};
    place_ = next_;
    if (next_.offset == file_->size_bytes()) {
      size_bytes_ = 0;
      return false;
    }
    if (next_.offset < window_start_ ||
        next_.offset + kRecordHeaderBytes > window_start_ + window_size_) {
      if (const Status status = Fill(); !status.ok()) return Stop(status);
    }
    const char* const header = window_.data() + (next_.offset - window_start_);
    const uint64_t left = file_->size_bytes() - next_.offset;
    if (left < kRecordHeaderBytes || !IsHeader(header)) return LookClosely();
    const uint64_t length = LoadLittle64(header);
    if (length > kMaxRecordBytes || length + kRecordHeaderBytes + kRecordFooterBytes > left) {
      return LookClosely();
    }
    Pass(length);
    return true;
  }
  bool can_continue() const override { return can_continue_; }
  RecordPlace place() const override { return place_; }
  uint64_t size_bytes() const override { return size_bytes_; }
  Status Seek(const RecordPlace& place) override {
    if (place.offset > file_->size_bytes()) {
      return CorruptionError("seek in {} to offset {}: the file has {} bytes", file_->path(),
                             place.offset, file_->size_bytes());
    }
    place_ = next_ = place;
    can_continue_ = true;
    return OkStatus();
  }

 private:
  // The window begins at the next record.
  Status Fill() {
    const size_t wanted = size_bytes_ > kLongRecordBytes ? kShortWindowBytes : kWindowBytes;
    window_size_ = 0;
    ASSIGN_OR_RETURN(window_size_, file_->Read(next_.offset, wanted, window_.data()));
    window_start_ = next_.offset;
    const uint64_t left = file_->size_bytes() - next_.offset;
    if (window_size_ < std::min<uint64_t>(left, kRecordHeaderBytes)) {
      return CorruptionError("read {} at offset {}: the file has become shorter", file_->path(),
                             next_.offset);
    }
    return OkStatus();
  }

  void Pass(uint64_t length) {
    size_bytes_ = length;
    next_.offset += kRecordHeaderBytes + length + kRecordFooterBytes;
    ++next_.record;
  }

  Status Stop(const Status& status) {
    can_continue_ = false;
    size_bytes_ = 0;
    return status;
  }

  // Damage: the reader of records says what it is.
  StatusOr<bool> LookClosely() {
    std::string_view record;
    auto reader = TfRecordReader::Open(fs_, file_->path());
    if (!reader.ok()) return Stop(reader.status());
    Status status = (*reader)->Seek(next_.offset);
    if (!status.ok()) return Stop(status);
    const StatusOr<bool> more = (*reader)->Next(&record);
    if (!more.ok()) return Stop(more.status());
    if (!*more) return Stop(CorruptionError("read {}: the file changes", file_->path()));
    Pass(record.size());
    return true;
  }

  FileSystem& fs_;
  const std::unique_ptr<ReadableFile> file_;
  std::vector<char> window_;
  uint64_t window_start_ = 0;
  size_t window_size_ = 0;
  RecordPlace place_, next_;
  uint64_t size_bytes_ = 0;
  bool can_continue_ = true;
};

}  // namespace

StatusOr<std::unique_ptr<RecordReader>> OpenRecordSkimmer(FileSystem& fs, const std::string& path,
                                                          RecordFormat format) {
  if (format != RecordFormat::kTfRecord) return OpenRecordReader(fs, path, format);
  ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, fs.OpenForRead(path));
  char head[kRecordHeaderBytes];
  ASSIGN_OR_RETURN(const size_t n, file->Read(0, sizeof(head), head));
  // The length of a first record can look like a compressed stream: its CRC decides.
  if (n == 0 || (n == sizeof(head) && IsHeader(head))) {
    return std::make_unique<RecordHops>(fs, std::move(file));
  }
  return OpenRecordReader(fs, path, format);
}

}  // namespace capstan
