#include "formats/tensor_bundle_writer.h"

#include <algorithm>
#include <map>

#include "base/crc32c.h"
#include "formats/bundle_index.h"
#include "formats/little_endian.h"
#include "formats/tensor_bundle.h"
#include "formats/varint.h"

namespace capstan {
namespace {

// Small tensors and small appends are put together to writes of this size.
constexpr size_t kWriteBytes = 1 << 17;

std::string TemporaryName(const std::string& path) { return path + ".tmp"; }

std::string_view BytesOf(const void* values, size_t size_bytes) {
  return std::string_view(static_cast<const char*>(values), size_bytes);
}

}  // namespace

struct TensorBundleWriter::Rep {
  struct Stream {
    std::string key;
    uint64_t next = 0;  // in the data file, of `buffered`
    uint64_t left_bytes = 0;
    uint32_t crc = 0;
    std::string buffered;
  };

  FileSystem* fs = nullptr;
  std::string prefix;
  std::unique_ptr<WritableFile> data;
  std::map<std::string, BundleIndexEntry> entries;
  std::vector<Stream> streams;
  // Whole tensors that are not yet written; they stand in the file at tail_offset.
  std::string tail;
  uint64_t tail_offset = 0;
  uint64_t end = 0;
  bool finished = false;
  Status failure;  // of a write: there is no way on

  std::string DataPath() const { return BundleDataPath(prefix, 0, 1); }
  std::string IndexPath() const { return BundleIndexPath(prefix); }

  StatusOr<BundleIndexEntry*> NewEntry(const std::string& key, const std::string& name, DType dtype,
                                       const Shape& shape, uint64_t size_bytes);
  StatusOr<int> NewStream(const std::string& key, const std::string& name, DType dtype,
                          const Shape& shape);
  Status NoteSlice(const std::string& name, DType dtype, const Shape& whole,
                   const TensorSlice& slice);
  Status AppendTail(std::string_view bytes);
  Status FlushTail();
  Status WriteAt(uint64_t offset, std::string_view bytes);
  Status FlushStream(Stream* stream);
  Status FinishStreams();
  Status WriteIndex();
  Status PutInPlace();
};

Status TensorBundleWriter::Rep::WriteAt(uint64_t offset, std::string_view bytes) {
  RETURN_IF_ERROR(failure);
  failure = data->WriteAt(offset, bytes);
  return failure;
}

Status TensorBundleWriter::Rep::FlushTail() {
  if (!tail.empty()) RETURN_IF_ERROR(WriteAt(tail_offset, tail));
  tail_offset += tail.size();
  tail.clear();
  return OkStatus();
}

Status TensorBundleWriter::Rep::AppendTail(std::string_view bytes) {
  if (tail.size() + bytes.size() > kWriteBytes) RETURN_IF_ERROR(FlushTail());
  if (bytes.size() > kWriteBytes) {
    RETURN_IF_ERROR(WriteAt(tail_offset, bytes));
    tail_offset += bytes.size();
    return OkStatus();
  }
  tail.append(bytes);
  return OkStatus();
}

// Takes the next bytes of the file for a tensor or a slice of one.
StatusOr<BundleIndexEntry*> TensorBundleWriter::Rep::NewEntry(const std::string& key,
                                                              const std::string& name, DType dtype,
                                                              const Shape& shape,
                                                              uint64_t size_bytes) {
  RETURN_IF_ERROR(failure);
  if (finished) return Error("write tensor {} to {}: the bundle is finished", name, prefix);
  if (name.empty() || name[0] == '\0') {
    return Error("write tensor to {}: a name is empty or starts with a zero byte", prefix);
  }
  if (shape.size() > kMaxRank) {
    return Error("write tensor {} to {}: {} dimensions, at most {} are taken", name, prefix,
                 shape.size(), kMaxRank);
  }
  if (entries.contains(key))
    return Error("write tensor {} to {}: it is already there", name, prefix);
  BundleIndexEntry& entry = entries[key];
  entry = {.key = key, .dtype = dtype, .shape = shape, .offset = end, .size_bytes = size_bytes};
  end += size_bytes;
  return &entry;
}

StatusOr<int> TensorBundleWriter::Rep::NewStream(const std::string& key, const std::string& name,
                                                 DType dtype, const Shape& shape) {
  const int64_t count = ElementCount(shape);
  if (SizeOf(dtype) == 0 || count < 0 || count > INT64_MAX / static_cast<int64_t>(SizeOf(dtype))) {
    return Error("write tensor {} to {}: {} {} has no size", name, prefix, NameOf(dtype),
                 ToString(shape));
  }
  const uint64_t size_bytes = count * SizeOf(dtype);
  ASSIGN_OR_RETURN(const BundleIndexEntry* entry, NewEntry(key, name, dtype, shape, size_bytes));
  RETURN_IF_ERROR(FlushTail());
  tail_offset = end;
  streams.push_back({.key = key, .next = entry->offset, .left_bytes = size_bytes});
  return static_cast<int>(streams.size()) - 1;
}

// The entry of the whole variable, which lists its slices.
Status TensorBundleWriter::Rep::NoteSlice(const std::string& name, DType dtype, const Shape& whole,
                                          const TensorSlice& slice) {
  BundleIndexEntry& entry = entries[name];
  if (entry.key.empty()) {
    entry = {.key = name, .dtype = dtype, .shape = whole};
  } else if (entry.slices.empty() || entry.dtype != dtype || entry.shape != whole) {
    return Error("write slice {} of tensor {} to {}: the tensor is already there as {} {}",
                 ToString(slice), name, prefix, NameOf(entry.dtype), ToString(entry.shape));
  }
  entry.slices.push_back(slice);
  return OkStatus();
}

Status TensorBundleWriter::Rep::FlushStream(Stream* stream) {
  RETURN_IF_ERROR(WriteAt(stream->next, stream->buffered));
  stream->next += stream->buffered.size();
  stream->buffered.clear();
  return OkStatus();
}

Status TensorBundleWriter::Rep::FinishStreams() {
  for (Stream& stream : streams) {
    BundleIndexEntry& entry = entries[stream.key];
    if (stream.left_bytes > 0) {
      return Error("finish bundle {}: {} of {} bytes of a tensor at offset {} have not come",
                   prefix, stream.left_bytes, entry.size_bytes, entry.offset);
    }
    RETURN_IF_ERROR(FlushStream(&stream));
    entry.masked_crc32c = MaskCrc(stream.crc);
  }
  return OkStatus();
}

Status TensorBundleWriter::Rep::WriteIndex() {
  BundleIndex index{.shard_count = 1};
  for (auto& [key, entry] : entries) index.entries.push_back(std::move(entry));
  ASSIGN_OR_RETURN(const std::string bytes, SerializeBundleIndex(index));
  ASSIGN_OR_RETURN(const std::unique_ptr<WritableFile> file,
                   fs->Create(TemporaryName(IndexPath())));
  RETURN_IF_ERROR(file->Append(bytes));
  RETURN_IF_ERROR(file->Sync());
  return file->Close();
}

// An older bundle of this name is not there while its data file is replaced.
Status TensorBundleWriter::Rep::PutInPlace() {
  if (fs->Exists(IndexPath())) RETURN_IF_ERROR(fs->Remove(IndexPath()));
  RETURN_IF_ERROR(fs->Rename(TemporaryName(DataPath()), DataPath()));
  const Status status = fs->Rename(TemporaryName(IndexPath()), IndexPath());
  if (!status.ok()) fs->Remove(DataPath()).IgnoreError();
  return status;
}

TensorBundleWriter::TensorBundleWriter(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}

TensorBundleWriter::~TensorBundleWriter() {
  if (rep_->finished && rep_->failure.ok()) return;
  rep_->data.reset();
  for (const std::string& path : {rep_->DataPath(), rep_->IndexPath()}) {
    const std::string temporary = TemporaryName(path);
    if (rep_->fs->Exists(temporary)) rep_->fs->Remove(temporary).IgnoreError();
  }
}

StatusOr<std::unique_ptr<TensorBundleWriter>> TensorBundleWriter::Create(
    FileSystem& fs, const std::string& prefix) {
  auto rep = std::make_unique<Rep>();
  rep->fs = &fs;
  rep->prefix = prefix;
  ASSIGN_OR_RETURN(rep->data, fs.Create(TemporaryName(rep->DataPath())));
  return std::unique_ptr<TensorBundleWriter>(new TensorBundleWriter(std::move(rep)));
}

Status TensorBundleWriter::Add(const std::string& name, DType dtype, const Shape& shape,
                               std::string_view bytes) {
  const int64_t count = ElementCount(shape);
  const size_t element_bytes = SizeOf(dtype);
  if (element_bytes == 0 || count < 0 || bytes.size() % element_bytes != 0 ||
      bytes.size() / element_bytes != static_cast<uint64_t>(count)) {
    return Error("write tensor {} to {}: {} {} cannot have {} bytes", name, rep_->prefix,
                 NameOf(dtype), ToString(shape), bytes.size());
  }
  ASSIGN_OR_RETURN(BundleIndexEntry * entry,
                   rep_->NewEntry(name, name, dtype, shape, bytes.size()));
  entry->masked_crc32c = MaskCrc(Crc32c(bytes));
  return rep_->AppendTail(bytes);
}

Status TensorBundleWriter::AddFloats(const std::string& name, const Shape& shape,
                                     std::span<const float> values) {
  return Add(name, DType::kFloat, shape, BytesOf(values.data(), values.size_bytes()));
}

Status TensorBundleWriter::AddInts(const std::string& name, const Shape& shape,
                                   std::span<const int64_t> values) {
  return Add(name, DType::kInt64, shape, BytesOf(values.data(), values.size_bytes()));
}

Status TensorBundleWriter::AddStrings(const std::string& name, const Shape& shape,
                                      std::span<const std::string> values) {
  if (ElementCount(shape) != static_cast<int64_t>(values.size())) {
    return Error("write tensor {} to {}: string {} cannot have {} elements", name, rep_->prefix,
                 ToString(shape), values.size());
  }
  std::string bytes;
  uint32_t crc = 0;
  size_t text_bytes = 0;
  for (const std::string& value : values) {
    const uint64_t length = value.size();
    AppendVarint(length, &bytes);
    crc = ExtendCrc32c(crc, &length, length > 0xffffffffu ? 8 : 4);
    text_bytes += length;
  }
  const size_t lengths_bytes = bytes.size();
  bytes.reserve(lengths_bytes + 4 + text_bytes);
  AppendLittle32(MaskCrc(crc), &bytes);
  for (const std::string& value : values) bytes += value;
  crc = ExtendCrc32c(crc, bytes.data() + lengths_bytes, bytes.size() - lengths_bytes);
  ASSIGN_OR_RETURN(BundleIndexEntry * entry,
                   rep_->NewEntry(name, name, DType::kString, shape, bytes.size()));
  entry->masked_crc32c = MaskCrc(crc);
  return rep_->AppendTail(bytes);
}

StatusOr<int> TensorBundleWriter::OpenStream(const std::string& name, DType dtype,
                                             const Shape& shape) {
  return rep_->NewStream(name, name, dtype, shape);
}

StatusOr<int> TensorBundleWriter::OpenSliceStream(const std::string& name, DType dtype,
                                                  const Shape& whole, const TensorSlice& slice) {
  ASSIGN_OR_RETURN(const TensorSlice resolved, ResolveSlice(slice, whole));
  const Shape shape = ShapeOf(resolved);
  if (shape == whole) return OpenStream(name, dtype, whole);
  if (ElementCount(whole) < 0) return OpenStream(name, dtype, whole);  // says what is wrong
  if (!name.empty()) RETURN_IF_ERROR(rep_->NoteSlice(name, dtype, whole, slice));
  return rep_->NewStream(SliceKey(name, slice), name, dtype, shape);
}

Status TensorBundleWriter::Append(int stream_number, std::string_view bytes) {
  if (stream_number < 0 || static_cast<size_t>(stream_number) >= rep_->streams.size()) {
    return Error("write to {}: there is no stream {}", rep_->prefix, stream_number);
  }
  Rep::Stream& stream = rep_->streams[stream_number];
  if (bytes.size() > stream.left_bytes) {
    return Error("write to {}: {} bytes for stream {}, which has room for {}", rep_->prefix,
                 bytes.size(), stream_number, stream.left_bytes);
  }
  stream.crc = ExtendCrc32c(stream.crc, bytes.data(), bytes.size());
  stream.left_bytes -= bytes.size();
  if (stream.buffered.size() + bytes.size() > kWriteBytes) {
    RETURN_IF_ERROR(rep_->FlushStream(&stream));
  }
  if (bytes.size() <= kWriteBytes) {
    stream.buffered.append(bytes);
    return OkStatus();
  }
  RETURN_IF_ERROR(rep_->WriteAt(stream.next, bytes));
  stream.next += bytes.size();
  return OkStatus();
}

Status TensorBundleWriter::Finish() {
  Rep& rep = *rep_;
  RETURN_IF_ERROR(rep.failure);
  if (rep.finished) return Error("finish bundle {}: it is finished", rep.prefix);
  const auto finish = [&]() -> Status {
    RETURN_IF_ERROR(rep.FlushTail());
    RETURN_IF_ERROR(rep.FinishStreams());
    RETURN_IF_ERROR(rep.data->Sync());
    RETURN_IF_ERROR(rep.data->Close());
    RETURN_IF_ERROR(rep.WriteIndex());
    return rep.PutInPlace();
  };
  rep.failure = finish();
  rep.finished = true;
  return rep.failure;
}

}  // namespace capstan
