#include "formats/tfrecord_reader.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "formats/little_endian.h"
#include "formats/tfrecord.h"

namespace capstan {
namespace {

// Small enough that a block is still in the second-level cache when its records are read.
constexpr size_t kBlockBytes = 1 << 18;

}  // namespace

// The window [begin, end) of `block` holds bytes that are read and not yet given out:
//
//   block  |..given..|begin ... unread ... end|..room..|capacity
struct TfRecordReader::Rep {
  std::unique_ptr<ByteSource> source;
  std::unique_ptr<char[]> block;
  size_t capacity = 0;
  size_t begin = 0;
  size_t end = 0;
  uint64_t offset = 0;  // of `begin` in the file
  bool can_continue = true;
  bool cut = false;

  // Makes at least `wanted` bytes available at `begin`; fewer only at the end of the file. Memory
  // grows with the bytes that really come, not with what a header claims.
  StatusOr<bool> Fill(size_t wanted) {
    while (end - begin < wanted) {
      if (begin > 0) {
        std::memmove(block.get(), block.get() + begin, end - begin);
        end -= begin;
        begin = 0;
      }
      if (end == capacity) Grow(wanted);
      ASSIGN_OR_RETURN(const size_t n, source->Read(capacity - end, block.get() + end));
      if (n == 0) return false;
      end += n;
    }
    return true;
  }

  void Grow(size_t wanted) {
    const size_t larger = std::max(kBlockBytes, std::min(wanted, 2 * capacity));
    auto grown = std::make_unique_for_overwrite<char[]>(larger);
    if (end > 0) std::memcpy(grown.get(), block.get(), end);
    block = std::move(grown);
    capacity = larger;
  }

  void Advance(size_t size_bytes) {
    begin += size_bytes;
    offset += size_bytes;
  }

  Status Stop(Status status) {
    can_continue = false;
    return status;
  }

  Status Cut(const char* part, size_t wanted) {
    cut = true;
    return Stop(
        CorruptionError("read tfrecord {} at offset {}: the file ends in a record's {}: "
                        "{} bytes, expected {}",
                        source->path(), offset, part, end - begin, wanted));
  }
};

TfRecordReader::TfRecordReader(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
TfRecordReader::~TfRecordReader() = default;

StatusOr<std::unique_ptr<TfRecordReader>> TfRecordReader::Open(FileSystem& fs,
                                                               const std::string& path) {
  ASSIGN_OR_RETURN(Compression compression, DetectCompression(fs, path));
  auto rep = std::make_unique<Rep>();
  ASSIGN_OR_RETURN(rep->source, OpenByteSource(fs, path, Compression::kNone));
  if (compression != Compression::kNone) {
    // The length of a first record can look like a compressed stream: its CRC decides.
    char head[kRecordHeaderBytes];
    ASSIGN_OR_RETURN(const size_t n, rep->source->Read(sizeof(head), head));
    if (n == sizeof(head) && MaskCrc(Crc32c(head, 8)) == LoadLittle32(head + 8)) {
      RETURN_IF_ERROR(rep->source->Seek(0));
    } else {
      ASSIGN_OR_RETURN(rep->source, OpenByteSource(fs, path, compression));
    }
  }
  return std::unique_ptr<TfRecordReader>(new TfRecordReader(std::move(rep)));
}

StatusOr<bool> TfRecordReader::Next(std::string_view* record) {
  Rep& rep = *rep_;
  if (!rep.can_continue) {
    return CorruptionError(
        "read tfrecord {} at offset {}: nothing can be read behind a damaged "
        "record",
        path(), rep.offset);
  }
  if (rep.end - rep.begin < kRecordHeaderBytes) {
    StatusOr<bool> filled = rep.Fill(kRecordHeaderBytes);
    if (!filled.ok()) return rep.Stop(filled.status());
    if (!*filled && rep.begin == rep.end) return false;
    if (!*filled) return rep.Cut("header", kRecordHeaderBytes);
  }
  const char* header = rep.block.get() + rep.begin;
  const uint64_t length = LoadLittle64(header);
  const uint32_t stored_length_crc = LoadLittle32(header + 8);
  if (const uint32_t crc = MaskCrc(Crc32c(header, 8)); crc != stored_length_crc) {
    return rep.Stop(
        CorruptionError("read tfrecord {} at offset {}: length crc {:#010x}, expected "
                        "{:#010x}",
                        path(), rep.offset, stored_length_crc, crc));
  }
  if (length > kMaxRecordBytes) {
    return rep.Stop(
        CorruptionError("read tfrecord {} at offset {}: a record of {} bytes, at most "
                        "{} are taken",
                        path(), rep.offset, length, kMaxRecordBytes));
  }
  const size_t whole = kRecordHeaderBytes + length + kRecordFooterBytes;
  if (rep.end - rep.begin < whole) {
    StatusOr<bool> filled = rep.Fill(whole);
    if (!filled.ok()) return rep.Stop(filled.status());
    if (!*filled) return rep.Cut("payload", whole);
  }
  const char* payload = rep.block.get() + rep.begin + kRecordHeaderBytes;
  const uint64_t offset = rep.offset;
  rep.Advance(whole);
  const uint32_t stored_crc = LoadLittle32(payload + length);
  if (const uint32_t crc = MaskCrc(Crc32c(payload, length)); crc != stored_crc) {
    return CorruptionError("read tfrecord {} at offset {}: payload crc {:#010x}, expected {:#010x}",
                           path(), offset, stored_crc, crc);
  }
  *record = std::string_view(payload, length);
  return true;
}

bool TfRecordReader::can_continue() const { return rep_->can_continue; }
bool TfRecordReader::ended_in_cut_record() const { return rep_->cut; }
uint64_t TfRecordReader::offset() const { return rep_->offset; }

Status TfRecordReader::Seek(uint64_t offset) {
  Rep& rep = *rep_;
  const uint64_t block_start = rep.offset - rep.begin;
  if (offset >= block_start && offset <= block_start + rep.end) {
    rep.begin = offset - block_start;
  } else {
    RETURN_IF_ERROR(rep.source->Seek(offset));
    rep.begin = rep.end = 0;
  }
  rep.offset = offset;
  rep.can_continue = true;
  rep.cut = false;
  return OkStatus();
}

const std::string& TfRecordReader::path() const { return rep_->source->path(); }

}  // namespace capstan
