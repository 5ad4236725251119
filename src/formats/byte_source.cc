#include "formats/byte_source.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

namespace capstan {
namespace {

constexpr size_t kCompressedBlockBytes = 1 << 17;
constexpr size_t kSkipBlockBytes = 1 << 16;

class PlainSource : public ByteSource {
 public:
  explicit PlainSource(std::unique_ptr<ReadableFile> file) : file_(std::move(file)) {}

  StatusOr<size_t> Read(size_t size_bytes, char* buffer) override {
    ASSIGN_OR_RETURN(const size_t n, file_->Read(offset_, size_bytes, buffer));
    offset_ += n;
    return n;
  }
  Status Seek(uint64_t offset) override {
    if (offset > file_->size_bytes()) {
      return CorruptionError("seek in {} to offset {}: the file has {} bytes", path(), offset,
                             file_->size_bytes());
    }
    offset_ = offset;
    return OkStatus();
  }
  uint64_t offset() const override { return offset_; }
  const std::string& path() const override { return file_->path(); }

 private:
  const std::unique_ptr<ReadableFile> file_;
  uint64_t offset_ = 0;
};

class InflatingSource : public ByteSource {
 public:
  InflatingSource(std::unique_ptr<ReadableFile> file, Compression compression)
      : file_(std::move(file)), compression_(compression), input_(kCompressedBlockBytes) {}
  ~InflatingSource() override {
    if (started_) inflateEnd(&stream_);
  }

  Status Start() {
    // Window of 2^15 bytes; plus 16: a gzip header is wanted.
    const int window = compression_ == Compression::kGzip ? 15 + 16 : 15;
    if (inflateInit2(&stream_, window) != Z_OK) return Damage("zlib cannot start");
    started_ = true;
    return OkStatus();
  }

  StatusOr<size_t> Read(size_t size_bytes, char* buffer) override {
    size_t done = 0;
    while (done < size_bytes && !at_end_) {
      if (stream_.avail_in == 0) RETURN_IF_ERROR(Refill());
      if (between_members_) {
        if (stream_.avail_in == 0) {
          at_end_ = true;
          break;
        }
        if (compression_ == Compression::kZlib) return Damage("bytes behind the zlib stream");
        if (inflateReset(&stream_) != Z_OK) return Damage("zlib cannot start again");
        between_members_ = false;
      }
      ASSIGN_OR_RETURN(const size_t n, Inflate(size_bytes - done, buffer + done));
      done += n;
      offset_ += n;
    }
    return done;
  }

  Status Seek(uint64_t offset) override {
    if (offset < offset_) RETURN_IF_ERROR(Rewind());
    std::vector<char> skipped(std::min<uint64_t>(kSkipBlockBytes, offset - offset_));
    while (offset_ < offset) {
      const size_t wanted = std::min<uint64_t>(skipped.size(), offset - offset_);
      ASSIGN_OR_RETURN(const size_t n, Read(wanted, skipped.data()));
      if (n < wanted) {
        return CorruptionError("seek in {} to offset {}: only {} decompressed bytes", path(),
                               offset, offset_);
      }
    }
    return OkStatus();
  }
  uint64_t offset() const override { return offset_; }
  const std::string& path() const override { return file_->path(); }

 private:
  Status Refill() {
    ASSIGN_OR_RETURN(const size_t n, file_->Read(file_offset_, input_.size(), input_.data()));
    file_offset_ += n;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(n);
    return OkStatus();
  }

  StatusOr<size_t> Inflate(size_t size_bytes, char* buffer) {
    const size_t limit = std::min<size_t>(size_bytes, std::numeric_limits<uInt>::max());
    stream_.next_out = reinterpret_cast<Bytef*>(buffer);
    stream_.avail_out = static_cast<uInt>(limit);
    const bool input_ended = stream_.avail_in == 0;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    const size_t n = limit - stream_.avail_out;
    if (result == Z_STREAM_END) {
      between_members_ = true;
    } else if (result == Z_BUF_ERROR || (result == Z_OK && n == 0 && input_ended)) {
      return Damage("the compressed stream is cut");
    } else if (result != Z_OK) {
      return Damage(stream_.msg != nullptr ? stream_.msg : "the compressed stream is damaged");
    }
    return n;
  }

  Status Rewind() {
    if (inflateReset(&stream_) != Z_OK) return Damage("zlib cannot start again");
    stream_.avail_in = 0;
    file_offset_ = 0;
    offset_ = 0;
    between_members_ = false;
    at_end_ = false;
    return OkStatus();
  }

  Status Damage(const char* what) const {
    return CorruptionError("decompress {} at byte {} (decompressed {}): {}", path(),
                           file_offset_ - stream_.avail_in, offset_, what);
  }

  const std::unique_ptr<ReadableFile> file_;
  const Compression compression_;
  std::vector<char> input_;
  z_stream stream_ = {};
  bool started_ = false;
  bool between_members_ = false;  // a gzip file may be several streams in a row
  bool at_end_ = false;
  uint64_t file_offset_ = 0;
  uint64_t offset_ = 0;
};

}  // namespace

StatusOr<Compression> DetectCompression(FileSystem& fs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ReadableFile> file, fs.OpenForRead(path));
  unsigned char head[4] = {};
  ASSIGN_OR_RETURN(const size_t n, file->Read(0, sizeof(head), reinterpret_cast<char*>(head)));
  if (n >= 2 && head[0] == 0x1f && head[1] == 0x8b) return Compression::kGzip;
  // Bit 5 of the second byte asks for a dictionary that nobody has.
  if (n >= 2 && head[0] == 0x78 && (head[0] * 256 + head[1]) % 31 == 0 && (head[1] & 0x20) == 0) {
    return Compression::kZlib;
  }
  return Compression::kNone;
}

StatusOr<std::unique_ptr<ByteSource>> OpenByteSource(FileSystem& fs, const std::string& path,
                                                     Compression compression) {
  ASSIGN_OR_RETURN(std::unique_ptr<ReadableFile> file, fs.OpenForRead(path));
  if (compression == Compression::kNone) return std::make_unique<PlainSource>(std::move(file));
  auto source = std::make_unique<InflatingSource>(std::move(file), compression);
  RETURN_IF_ERROR(source->Start());
  return source;
}

}  // namespace capstan
