#include "data/record_reader.h"

#include <cstring>
#include <vector>

#include "base/nearest.h"
#include "formats/byte_source.h"
#include "formats/tfrecord.h"
#include "formats/tfrecord_reader.h"

namespace capstan {
namespace {

constexpr size_t kTextBlockBytes = 1 << 18;

class TfRecords : public RecordReader {
 public:
  explicit TfRecords(std::unique_ptr<TfRecordReader> reader) : reader_(std::move(reader)) {}

  StatusOr<bool> Next(std::string_view* record) override {
    place_ = {next_, reader_->offset()};
    StatusOr<bool> more = reader_->Next(record);
    if (!more.ok() || *more) ++next_;
    return more;
  }
  bool can_continue() const override { return reader_->can_continue(); }
  RecordPlace place() const override { return place_; }
  uint64_t size_bytes() const override {
    const uint64_t whole = reader_->offset() - place_.offset;
    return whole == 0 ? 0 : whole - kRecordHeaderBytes - kRecordFooterBytes;
  }
  Status Seek(const RecordPlace& place) override {
    RETURN_IF_ERROR(reader_->Seek(place.offset));
    place_ = place;
    next_ = place.record;
    return OkStatus();
  }

 private:
  const std::unique_ptr<TfRecordReader> reader_;
  RecordPlace place_;
  int64_t next_ = 0;
};

// The window [begin_, end_) of the block holds bytes that are read and not yet given out.
class TextLines : public RecordReader {
 public:
  explicit TextLines(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)), block_(kTextBlockBytes, '\0') {}

  StatusOr<bool> Next(std::string_view* record) override {
    for (;;) {
      place_ = next_;
      StatusOr<bool> more = NextLine(record);
      if (!more.ok()) {
        can_continue_ = false;
        size_bytes_ = 0;
        return Annotate(more.status(), PlaceText(RecordFormat::kCsv, source_->path(), place_));
      }
      if (!*more) return false;
      if (!record->empty()) return true;
    }
  }
  bool can_continue() const override { return can_continue_; }
  RecordPlace place() const override { return place_; }
  uint64_t size_bytes() const override { return size_bytes_; }
  Status Seek(const RecordPlace& place) override {
    RETURN_IF_ERROR(source_->Seek(place.offset));
    place_ = next_ = place;
    begin_ = end_ = 0;
    can_continue_ = true;
    return OkStatus();
  }

 private:
  StatusOr<bool> NextLine(std::string_view* line) {
    size_t searched = 0;
    for (;;) {
      const char* const start = block_.data() + begin_;
      const void* const found = std::memchr(start + searched, '\n', end_ - begin_ - searched);
      if (found != nullptr) {
        const size_t length = static_cast<const char*>(found) - start;
        Take(length, length + 1, line);
        return true;
      }
      searched = end_ - begin_;
      if (searched > kMaxRecordBytes) {
        return CorruptionError("a line of more than {} bytes", kMaxRecordBytes);
      }
      ASSIGN_OR_RETURN(const bool more, Fill());
      if (more) continue;
      if (begin_ == end_) return false;
      Take(searched, searched, line);
      return true;
    }
  }

  // Reads more behind the window; false at the end of the file.
  StatusOr<bool> Fill() {
    if (begin_ > 0) {
      std::memmove(block_.data(), block_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    if (end_ == block_.size()) block_.resize(2 * block_.size());
    ASSIGN_OR_RETURN(const size_t n, source_->Read(block_.size() - end_, block_.data() + end_));
    end_ += n;
    return n > 0;
  }

  void Take(size_t length, size_t with_end, std::string_view* line) {
    *line = std::string_view(block_.data() + begin_, length);
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (next_.offset == 0 && line->starts_with(kByteOrderMark)) line->remove_prefix(3);
    if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
    size_bytes_ = line->size();
    begin_ += with_end;
    next_.offset += with_end;
    ++next_.record;
  }

  const std::unique_ptr<ByteSource> source_;
  std::string block_;
  size_t begin_ = 0, end_ = 0;
  RecordPlace place_, next_;
  uint64_t size_bytes_ = 0;
  bool can_continue_ = true;
};

}  // namespace

const char* NameOf(RecordFormat format) {
  switch (format) {
    case RecordFormat::kTfRecord:
      return "tfrecord";
    case RecordFormat::kCsv:
      return "csv";
    case RecordFormat::kLibsvm:
      return "libsvm";
    case RecordFormat::kCriteo:
      return "criteo";
  }
  return "";
}

StatusOr<RecordFormat> RecordFormatByName(const std::string& name) {
  std::vector<std::string> known;
  for (const RecordFormat format : {RecordFormat::kTfRecord, RecordFormat::kCsv,
                                    RecordFormat::kLibsvm, RecordFormat::kCriteo}) {
    if (name == NameOf(format)) return format;
    known.push_back(NameOf(format));
  }
  return Error("format '{}' is not known, wanted tfrecord, csv, libsvm or criteo{}", name,
               NearestHint(name, known));
}

std::string PlaceText(RecordFormat format, const std::string& path, const RecordPlace& place) {
  if (format == RecordFormat::kTfRecord) {
    return fmt::format("read {} at offset {}", path, place.offset);
  }
  return fmt::format("read {} at line {}", path, place.record + 1);
}

StatusOr<std::unique_ptr<RecordReader>> OpenRecordReader(FileSystem& fs, const std::string& path,
                                                         RecordFormat format) {
  if (format == RecordFormat::kTfRecord) {
    ASSIGN_OR_RETURN(auto reader, TfRecordReader::Open(fs, path));
    return std::make_unique<TfRecords>(std::move(reader));
  }
  ASSIGN_OR_RETURN(const Compression compression, DetectCompression(fs, path));
  ASSIGN_OR_RETURN(auto source, OpenByteSource(fs, path, compression));
  return std::make_unique<TextLines>(std::move(source));
}

}  // namespace capstan
