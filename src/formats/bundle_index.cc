#include "formats/bundle_index.h"

#include <algorithm>

#include "formats/sorted_table.h"
#include "formats/tensor_bundle.h"
#include "tensorflow/tensor_bundle.pb.h"

namespace capstan {
namespace {

Status CheckHeader(const tensorflow::BundleHeaderProto& header, const std::string& path) {
  if (header.endianness() != tensorflow::BundleHeaderProto::LITTLE) {
    return Error(
        "read index {}: the bundle was written on a big-endian machine, little-endian is "
        "wanted",
        path);
  }
  if (header.num_shards() < 1 || header.num_shards() > kMaxShards) {
    return CorruptionError("read index {}: {} shards, expected 1 to {}", path, header.num_shards(),
                           kMaxShards);
  }
  const tensorflow::VersionDef& version = header.version();
  const auto& bad = version.bad_consumers();
  if (version.min_consumer() > kBundleVersion ||
      std::find(bad.begin(), bad.end(), kBundleVersion) != bad.end()) {
    return Error("read index {}: it needs a reader of version {}, this one is of version {}", path,
                 std::max(version.min_consumer(), kBundleVersion + 1), kBundleVersion);
  }
  return OkStatus();
}

// What is wrong with the entry by itself; empty if nothing is.
std::string FaultOf(const BundleIndexEntry& entry, int shard_count) {
  const int64_t count = ElementCount(entry.shape);
  if (count < 0) return "its shape is impossible";
  if (entry.shape.size() > kMaxRank) return "it has too many dimensions";
  if (entry.shard < 0 || entry.shard >= shard_count) {
    return fmt::format("it lies in shard {} of {}", entry.shard, shard_count);
  }
  if (!entry.slices.empty()) {
    if (entry.IsSlice()) return "a slice is cut into slices";
    if (entry.slices.size() > kMaxSlices) return "it has too many slices";
    return entry.size_bytes == 0 ? "" : "it has bytes of its own beside its slices";
  }
  if (const size_t element_bytes = SizeOf(entry.dtype); element_bytes > 0) {
    const bool fits = entry.size_bytes % element_bytes == 0 &&
                      entry.size_bytes / element_bytes == static_cast<uint64_t>(count);
    return fits ? "" : fmt::format("it has {} bytes", entry.size_bytes);
  }
  // A string costs a byte for its length at least; then 4 for the CRC of the lengths.
  if (entry.dtype == DType::kString &&
      (entry.size_bytes < 4 || entry.size_bytes - 4 < static_cast<uint64_t>(count))) {
    return fmt::format("it has {} bytes", entry.size_bytes);
  }
  return "";
}

// False: the message says something that has no place in an entry.
bool FromProto(const tensorflow::BundleEntryProto& proto, BundleIndexEntry* entry) {
  entry->dtype = static_cast<DType>(proto.dtype());
  if (proto.shape().unknown_rank() || proto.offset() < 0 || proto.size() < 0) return false;
  for (const auto& dim : proto.shape().dim()) entry->shape.push_back(dim.size());
  entry->shard = proto.shard_id();
  entry->offset = proto.offset();
  entry->size_bytes = proto.size();
  entry->masked_crc32c = proto.crc32c();
  for (const tensorflow::TensorSliceProto& slice_proto : proto.slices()) {
    TensorSlice& slice = entry->slices.emplace_back();
    for (const auto& extent : slice_proto.extent()) {
      const bool whole = extent.has_length_case() != tensorflow::TensorSliceProto::Extent::kLength;
      if (whole && extent.start() != 0) return false;
      slice.push_back({extent.start(), whole ? -1 : extent.length()});
    }
  }
  return true;
}

tensorflow::BundleEntryProto ToProto(const BundleIndexEntry& entry) {
  tensorflow::BundleEntryProto proto;
  proto.set_dtype(static_cast<tensorflow::DataType>(entry.dtype));
  proto.mutable_shape();  // there even for a scalar
  for (const int64_t size : entry.shape) proto.mutable_shape()->add_dim()->set_size(size);
  proto.set_shard_id(entry.shard);
  proto.set_offset(static_cast<int64_t>(entry.offset));
  proto.set_size(static_cast<int64_t>(entry.size_bytes));
  proto.set_crc32c(entry.masked_crc32c);
  for (const TensorSlice& slice : entry.slices) {
    tensorflow::TensorSliceProto* slice_proto = proto.add_slices();
    for (const SliceExtent& extent : slice) {
      auto* extent_proto = slice_proto->add_extent();
      if (extent.length == -1) continue;
      extent_proto->set_start(extent.start);
      extent_proto->set_length(extent.length);
    }
  }
  return proto;
}

// A key as text: slices by their name part.
std::string Printable(const BundleIndexEntry& entry) {
  if (!entry.IsSlice()) return entry.key;
  return "slice of " + entry.key.substr(1, entry.key.find(std::string("\0\1", 2), 1) - 1);
}

}  // namespace

const BundleIndexEntry* BundleIndex::Find(std::string_view key) const {
  const auto found = std::lower_bound(
      entries.begin(), entries.end(), key,
      [](const BundleIndexEntry& entry, std::string_view wanted) { return entry.key < wanted; });
  return found == entries.end() || found->key != key ? nullptr : &*found;
}

StatusOr<BundleIndex> ReadBundleIndex(FileSystem& fs, const std::string& prefix) {
  const std::string path = BundleIndexPath(prefix);
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(fs, path));
  BundleIndex index;
  RETURN_IF_ERROR(ReadSortedTable(bytes, path, [&](std::string_view key, std::string_view value) {
    const int size_bytes = static_cast<int>(value.size());
    if (key.empty()) {
      tensorflow::BundleHeaderProto header;
      if (!header.ParseFromArray(value.data(), size_bytes)) {
        return CorruptionError("read index {}: the header is no BundleHeaderProto", path);
      }
      index.shard_count = header.num_shards();
      return CheckHeader(header, path);
    }
    if (index.shard_count == 0) return CorruptionError("read index {}: it has no header", path);
    BundleIndexEntry entry;
    entry.key.assign(key);
    tensorflow::BundleEntryProto proto;
    if (!proto.ParseFromArray(value.data(), size_bytes) || !FromProto(proto, &entry)) {
      return CorruptionError("read index {}: the entry of tensor {} is damaged", path,
                             Printable(entry));
    }
    if (const std::string fault = FaultOf(entry, index.shard_count); !fault.empty()) {
      return CorruptionError("read index {}: tensor {} is {} {}, but {}", path, Printable(entry),
                             NameOf(entry.dtype), ToString(entry.shape), fault);
    }
    index.entries.push_back(std::move(entry));
    return OkStatus();
  }));
  if (index.shard_count == 0) return CorruptionError("read index {}: it has no header", path);
  return index;
}

StatusOr<std::string> SerializeBundleIndex(const BundleIndex& index) {
  SortedTableBuilder table;
  tensorflow::BundleHeaderProto header;
  header.set_num_shards(index.shard_count);
  header.mutable_version()->set_producer(kBundleVersion);
  RETURN_IF_ERROR(table.Add("", header.SerializeAsString()));
  for (const BundleIndexEntry& entry : index.entries) {
    RETURN_IF_ERROR(table.Add(entry.key, ToProto(entry).SerializeAsString()));
  }
  return table.Finish();
}

}  // namespace capstan
