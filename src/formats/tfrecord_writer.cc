#include "formats/tfrecord_writer.h"

#include <zlib.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "base/crc32c.h"
#include "formats/little_endian.h"
#include "formats/tfrecord.h"

namespace capstan {
namespace {

constexpr size_t kCompressedBlockBytes = 1 << 17;

}  // namespace

struct TfRecordWriter::Rep {
  std::unique_ptr<WritableFile> file;
  Compression compression = Compression::kNone;
  z_stream stream = {};
  bool deflating = false;
  bool closed = false;
  std::vector<char> output;

  ~Rep() {
    if (deflating) deflateEnd(&stream);
  }

  Status StartDeflate() {
    const int window = compression == Compression::kGzip ? 15 + 16 : 15;
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
      return MakeStatus(absl::StatusCode::kResourceExhausted,
                        "write tfrecord " + file->path() + ": zlib cannot start");
    }
    deflating = true;
    output.resize(kCompressedBlockBytes);
    return OkStatus();
  }

  Status Append(std::string_view bytes) {
    return deflating ? Deflate(bytes, Z_NO_FLUSH) : file->Append(bytes);
  }

  Status Deflate(std::string_view bytes, int flush) {
    int result = Z_OK;
    do {
      const size_t n = std::min<size_t>(bytes.size(), std::numeric_limits<uInt>::max());
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      stream.avail_in = static_cast<uInt>(n);
      do {
        stream.next_out = reinterpret_cast<Bytef*>(output.data());
        stream.avail_out = static_cast<uInt>(output.size());
        result = deflate(&stream, flush);
        RETURN_IF_ERROR(
            file->Append(std::string_view(output.data(), output.size() - stream.avail_out)));
      } while (stream.avail_out == 0);
      bytes.remove_prefix(n);
    } while (!bytes.empty());
    if (result == Z_STREAM_ERROR) {
      return MakeStatus(absl::StatusCode::kInternal,
                        "write tfrecord " + file->path() + ": zlib refused the bytes");
    }
    return OkStatus();
  }
};

TfRecordWriter::TfRecordWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
TfRecordWriter::~TfRecordWriter() = default;

StatusOr<std::unique_ptr<TfRecordWriter>> TfRecordWriter::Create(FileSystem& fs,
                                                                 const std::string& path,
                                                                 Compression compression) {
  auto rep = std::make_unique<Rep>();
  ASSIGN_OR_RETURN(rep->file, fs.Create(path));
  rep->compression = compression;
  if (compression != Compression::kNone) RETURN_IF_ERROR(rep->StartDeflate());
  return std::unique_ptr<TfRecordWriter>(new TfRecordWriter(std::move(rep)));
}

Status TfRecordWriter::Write(std::string_view payload) {
  if (payload.size() > kMaxRecordBytes) {
    return Error("write tfrecord {}: a record of {} bytes, at most {} are taken",
                 rep_->file->path(), payload.size(), kMaxRecordBytes);
  }
  char header[kRecordHeaderBytes];
  StoreLittle64(payload.size(), header);
  StoreLittle32(MaskCrc(Crc32c(header, 8)), header + 8);
  char footer[kRecordFooterBytes];
  StoreLittle32(MaskCrc(Crc32c(payload)), footer);
  RETURN_IF_ERROR(rep_->Append(std::string_view(header, sizeof(header))));
  RETURN_IF_ERROR(rep_->Append(payload));
  return rep_->Append(std::string_view(footer, sizeof(footer)));
}

Status TfRecordWriter::Flush() {
  if (rep_->deflating) RETURN_IF_ERROR(rep_->Deflate({}, Z_SYNC_FLUSH));
  return rep_->file->Flush();
}

Status TfRecordWriter::Close() {
  if (rep_->closed) return OkStatus();
  rep_->closed = true;
  if (rep_->deflating) RETURN_IF_ERROR(rep_->Deflate({}, Z_FINISH));
  return rep_->file->Close();
}

}  // namespace capstan
