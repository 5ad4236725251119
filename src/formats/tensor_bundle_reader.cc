#include "formats/tensor_bundle_reader.h"

#include <algorithm>
#include <map>

#include "base/crc32c.h"
#include "formats/bundle_index.h"
#include "formats/little_endian.h"
#include "formats/tensor_bundle.h"
#include "formats/varint.h"

namespace capstan {
namespace {

// Read and checked while it is in the cache.
constexpr size_t kPieceBytes = 1 << 20;

// A slice of a partitioned variable: where it belongs, and its own entry.
struct SlicePart {
  TensorSlice resolved;
  const BundleIndexEntry* entry = nullptr;
};

}  // namespace

struct TensorBundleReader::Rep {
  std::string prefix;
  BundleIndex index;
  std::vector<TensorEntry> entries;
  std::vector<const BundleIndexEntry*> index_entries;  // beside `entries`
  std::vector<std::vector<SlicePart>> parts;           // beside `entries`; of partitioned variables
  std::map<int, std::unique_ptr<ReadableFile>> shards;

  Status CheckPlace(const BundleIndexEntry& entry, FileSystem& fs);
  Status Describe(const BundleIndexEntry& entry);
  StatusOr<std::vector<SlicePart>> FindParts(const BundleIndexEntry& entry) const;

  Status StreamEntry(const BundleIndexEntry& entry, std::string_view name, size_t piece_bytes,
                     char* buffer, bool whole_buffer,
                     const std::function<Status(uint64_t, std::string_view)>& sink) const;
  Status ReadEntry(const BundleIndexEntry& entry, std::string_view name, char* bytes) const;
  Status ReadParts(size_t i, char* bytes) const;
  Status Damage(const BundleIndexEntry& entry, std::string_view name, std::string_view what) const;
};

// Opens the entry's shard and checks that the entry lies in it.
Status TensorBundleReader::Rep::CheckPlace(const BundleIndexEntry& entry, FileSystem& fs) {
  std::unique_ptr<ReadableFile>& file = shards[entry.shard];
  if (file == nullptr) {
    ASSIGN_OR_RETURN(file, fs.OpenForRead(BundleDataPath(prefix, entry.shard, index.shard_count)));
  }
  if (entry.offset > file->size_bytes() || entry.size_bytes > file->size_bytes() - entry.offset) {
    return CorruptionError("read tensor {} in {}: it lies at {} to {} of {}, which has {} bytes",
                           entry.IsSlice() ? "slice" : entry.key, prefix, entry.offset,
                           entry.offset + entry.size_bytes, file->path(), file->size_bytes());
  }
  return OkStatus();
}

StatusOr<std::vector<SlicePart>> TensorBundleReader::Rep::FindParts(
    const BundleIndexEntry& entry) const {
  const auto damage = [&](const std::string& what) {
    return CorruptionError("read tensor {} in {}: {}", entry.key, prefix, what);
  };
  std::vector<SlicePart> found;
  if (entry.slices.empty()) return found;
  uint64_t elements = 0;
  for (const TensorSlice& slice : entry.slices) {
    StatusOr<TensorSlice> resolved = ResolveSlice(slice, entry.shape);
    if (!resolved.ok()) return damage(Message(resolved.status()));
    const BundleIndexEntry* part = index.Find(SliceKey(entry.key, slice));
    if (part == nullptr) return damage(fmt::format("slice {} is missing", ToString(slice)));
    if (part->dtype != entry.dtype || part->shape != ShapeOf(*resolved)) {
      return damage(fmt::format("slice {} is {} {}, its tensor {} {}", ToString(slice),
                                NameOf(part->dtype), ToString(part->shape), NameOf(entry.dtype),
                                ToString(entry.shape)));
    }
    for (const SlicePart& other : found) {
      if (Overlap(other.resolved, *resolved)) {
        return damage(
            fmt::format("slices {} and {} overlap", ToString(other.resolved), ToString(slice)));
      }
    }
    elements += ElementCount(part->shape);
    found.push_back({*std::move(resolved), part});
  }
  // Without overlap the slices fill the tensor when their elements are as many.
  if (elements != static_cast<uint64_t>(ElementCount(entry.shape))) {
    return damage(fmt::format("its slices have {} elements, {} has {}", elements,
                              ToString(entry.shape), ElementCount(entry.shape)));
  }
  return found;
}

Status TensorBundleReader::Rep::Describe(const BundleIndexEntry& entry) {
  TensorEntry described = {.name = entry.key,
                           .dtype = entry.dtype,
                           .shape = entry.shape,
                           .shard = entry.shard,
                           .size_bytes = entry.size_bytes,
                           .masked_crc32c = entry.masked_crc32c,
                           .partitioned = !entry.slices.empty()};
  ASSIGN_OR_RETURN(std::vector<SlicePart> found, FindParts(entry));
  uint64_t file_bytes = 0;
  for (const auto& [shard, file] : shards) file_bytes += file->size_bytes();
  for (const SlicePart& part : found) described.size_bytes += part.entry->size_bytes;
  if (described.size_bytes > file_bytes) {
    return CorruptionError("read tensor {} in {}: it has {} bytes, the data files {}", entry.key,
                           prefix, described.size_bytes, file_bytes);
  }
  entries.push_back(std::move(described));
  index_entries.push_back(&entry);
  parts.push_back(std::move(found));
  return OkStatus();
}

Status TensorBundleReader::Rep::Damage(const BundleIndexEntry& entry, std::string_view name,
                                       std::string_view what) const {
  return CorruptionError("read tensor {} in {} at offset {}: {}", name,
                         shards.at(entry.shard)->path(), entry.offset, what);
}

// Reads the bytes of an entry piece by piece, into a buffer of a piece or of the whole; then the
// CRC of all is compared. Strings are not for this.
Status TensorBundleReader::Rep::StreamEntry(
    const BundleIndexEntry& entry, std::string_view name, size_t piece_bytes, char* buffer,
    bool whole_buffer, const std::function<Status(uint64_t, std::string_view)>& sink) const {
  const ReadableFile& file = *shards.at(entry.shard);
  uint32_t crc = 0;
  for (uint64_t done = 0; done < entry.size_bytes;) {
    const size_t wanted = std::min<uint64_t>(piece_bytes, entry.size_bytes - done);
    char* const piece = whole_buffer ? buffer + done : buffer;
    ASSIGN_OR_RETURN(const size_t n, file.Read(entry.offset + done, wanted, piece));
    if (n < wanted) return Damage(entry, name, "the file has become shorter");
    crc = ExtendCrc32c(crc, piece, n);
    if (sink) RETURN_IF_ERROR(sink(done, std::string_view(piece, n)));
    done += n;
  }
  if (MaskCrc(crc) != entry.masked_crc32c) {
    return Damage(
        entry, name,
        fmt::format("crc {:#010x}, expected {:#010x}", MaskCrc(crc), entry.masked_crc32c));
  }
  return OkStatus();
}

Status TensorBundleReader::Rep::ReadEntry(const BundleIndexEntry& entry, std::string_view name,
                                          char* bytes) const {
  return StreamEntry(entry, name, kPieceBytes, bytes, /*whole_buffer=*/true, nullptr);
}

Status TensorBundleReader::Rep::ReadParts(size_t i, char* bytes) const {
  const TensorEntry& whole = entries[i];
  const size_t element_bytes = SizeOf(whole.dtype);
  std::string piece;
  for (const SlicePart& part : parts[i]) {
    uint64_t first_element = 0;
    if (IsContiguous(part.resolved, whole.shape, &first_element)) {
      RETURN_IF_ERROR(ReadEntry(*part.entry, whole.name, bytes + first_element * element_bytes));
      continue;
    }
    piece.resize(part.entry->size_bytes);
    RETURN_IF_ERROR(ReadEntry(*part.entry, whole.name, piece.data()));
    PutSlice(part.resolved, whole.shape, element_bytes, piece.data(), bytes);
  }
  return OkStatus();
}

TensorBundleReader::TensorBundleReader(std::unique_ptr<Rep> rep) : rep_(std::move(rep)) {}
TensorBundleReader::~TensorBundleReader() = default;

StatusOr<std::unique_ptr<TensorBundleReader>> TensorBundleReader::Open(FileSystem& fs,
                                                                       const std::string& prefix) {
  auto rep = std::make_unique<Rep>();
  rep->prefix = prefix;
  ASSIGN_OR_RETURN(rep->index, ReadBundleIndex(fs, prefix));
  for (const BundleIndexEntry& entry : rep->index.entries) {
    if (entry.slices.empty()) RETURN_IF_ERROR(rep->CheckPlace(entry, fs));
  }
  for (const BundleIndexEntry& entry : rep->index.entries) {
    if (!entry.IsSlice()) RETURN_IF_ERROR(rep->Describe(entry));
  }
  return std::unique_ptr<TensorBundleReader>(new TensorBundleReader(std::move(rep)));
}

const std::string& TensorBundleReader::prefix() const { return rep_->prefix; }
int TensorBundleReader::shard_count() const { return rep_->index.shard_count; }
const std::vector<TensorEntry>& TensorBundleReader::entries() const { return rep_->entries; }

const TensorEntry* TensorBundleReader::Find(std::string_view name) const {
  const auto found = std::lower_bound(
      rep_->entries.begin(), rep_->entries.end(), name,
      [](const TensorEntry& entry, std::string_view wanted) { return entry.name < wanted; });
  return found == rep_->entries.end() || found->name != name ? nullptr : &*found;
}

StatusOr<const TensorEntry*> TensorBundleReader::FindOrError(std::string_view name) const {
  const TensorEntry* entry = Find(name);
  if (entry == nullptr) return NotFoundError("tensor {} is not in {}", name, rep_->prefix);
  return entry;
}

Status TensorBundleReader::Read(std::string_view name, std::span<char> bytes) const {
  ASSIGN_OR_RETURN(const TensorEntry* entry, FindOrError(name));
  const size_t element_bytes = SizeOf(entry->dtype);
  if (element_bytes == 0) {
    return Error("tensor {} in {} is {}, wanted numbers", name, rep_->prefix, NameOf(entry->dtype));
  }
  const uint64_t size_bytes = ElementCount(entry->shape) * element_bytes;
  if (size_bytes != bytes.size()) {
    return Error("tensor {} in {} is {} {} of {} bytes, wanted {} bytes", name, rep_->prefix,
                 NameOf(entry->dtype), ToString(entry->shape), size_bytes, bytes.size());
  }
  const size_t i = entry - rep_->entries.data();
  if (entry->partitioned) return rep_->ReadParts(i, bytes.data());
  return rep_->ReadEntry(*rep_->index_entries[i], name, bytes.data());
}

Status TensorBundleReader::Stream(
    std::string_view name, size_t piece_bytes,
    const std::function<Status(uint64_t offset, std::string_view piece)>& sink) const {
  ASSIGN_OR_RETURN(const TensorEntry* entry, FindOrError(name));
  if (SizeOf(entry->dtype) == 0 || entry->partitioned) {
    return Error("tensor {} in {} is {}, wanted numbers in one piece", name, rep_->prefix,
                 entry->partitioned ? "partitioned" : NameOf(entry->dtype));
  }
  if (piece_bytes == 0) return Error("stream tensor {} in pieces of 0 bytes", name);
  std::string buffer(std::min<uint64_t>(piece_bytes, entry->size_bytes), '\0');
  return rep_->StreamEntry(*rep_->index_entries[entry - rep_->entries.data()], name, piece_bytes,
                           buffer.data(), /*whole_buffer=*/false, sink);
}

StatusOr<std::vector<std::string>> TensorBundleReader::ReadStrings(std::string_view name) const {
  ASSIGN_OR_RETURN(const TensorEntry* described, FindOrError(name));
  if (described->dtype != DType::kString || described->partitioned) {
    return Error("tensor {} in {} is {} {}, wanted strings in one piece", name, rep_->prefix,
                 described->partitioned ? "partitioned" : NameOf(described->dtype),
                 ToString(described->shape));
  }
  const BundleIndexEntry& entry = *rep_->index_entries[described - rep_->entries.data()];
  std::string bytes(entry.size_bytes, '\0');
  ASSIGN_OR_RETURN(const size_t n,
                   rep_->shards.at(entry.shard)->Read(entry.offset, bytes.size(), bytes.data()));
  if (n < bytes.size()) return rep_->Damage(entry, name, "the file has become shorter");

  const char* p = bytes.data();
  const char* const end = p + bytes.size();
  std::vector<uint64_t> lengths(ElementCount(entry.shape));
  uint32_t crc = 0;
  for (uint64_t& length : lengths) {
    p = DecodeVarint(p, end, &length);
    if (p == nullptr) return rep_->Damage(entry, name, "the lengths of its strings are damaged");
    crc = ExtendCrc32c(crc, &length, length > 0xffffffffu ? 8 : 4);
  }
  if (end - p < 4 || LoadLittle32(p) != MaskCrc(crc)) {
    return rep_->Damage(entry, name, "the crc of its strings' lengths is wrong");
  }
  crc = ExtendCrc32c(crc, p, end - p);
  if (MaskCrc(crc) != entry.masked_crc32c) {
    return rep_->Damage(
        entry, name,
        fmt::format("crc {:#010x}, expected {:#010x}", MaskCrc(crc), entry.masked_crc32c));
  }
  p += 4;
  std::vector<std::string> values;
  values.reserve(lengths.size());
  for (const uint64_t length : lengths) {
    if (length > static_cast<uint64_t>(end - p)) {
      return rep_->Damage(entry, name, "its strings are longer than its bytes");
    }
    values.emplace_back(p, length);
    p += length;
  }
  if (p != end) return rep_->Damage(entry, name, "it has more bytes than its strings");
  return values;
}

template <typename T>
StatusOr<std::vector<T>> TensorBundleReader::ReadTyped(std::string_view name, DType wanted) const {
  ASSIGN_OR_RETURN(const TensorEntry* entry, FindOrError(name));
  if (entry->dtype != wanted) {
    return Error("tensor {} in {} is {} {}, wanted {}", name, rep_->prefix, NameOf(entry->dtype),
                 ToString(entry->shape), NameOf(wanted));
  }
  std::vector<T> values(ElementCount(entry->shape));
  RETURN_IF_ERROR(
      Read(name, std::span(reinterpret_cast<char*>(values.data()), values.size() * sizeof(T))));
  return values;
}

StatusOr<std::vector<float>> TensorBundleReader::ReadFloats(std::string_view name) const {
  return ReadTyped<float>(name, DType::kFloat);
}
StatusOr<std::vector<int64_t>> TensorBundleReader::ReadInts(std::string_view name) const {
  return ReadTyped<int64_t>(name, DType::kInt64);
}

}  // namespace capstan
