#include "formats/sorted_table.h"

#include <snappy.h>

#include <algorithm>

#include "base/crc32c.h"
#include "formats/little_endian.h"
#include "formats/varint.h"

namespace capstan {
namespace {

constexpr char kPlainBlock = 0;
constexpr char kSnappyBlock = 1;
// Snappy's densest form is a copy of 64 bytes in 3.
constexpr uint64_t kMaxSnappyRatio = 32;
// Shared prefixes make keys longer than the file: real names by a factor of ten or so.
constexpr uint64_t kMaxKeyRatio = 256;

struct Handle {
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
};

const char* DecodeHandle(const char* p, const char* end, Handle* handle) {
  p = DecodeVarint(p, end, &handle->offset);
  return p == nullptr ? nullptr : DecodeVarint(p, end, &handle->size_bytes);
}

using EntrySink = std::function<Status(std::string_view key, std::string_view value)>;

class TableReader {
 public:
  TableReader(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  Status Read(const EntrySink& sink) {
    Handle index;
    RETURN_IF_ERROR(ReadFooter(&index));
    return ForEachEntry(index, [&](std::string_view separator, std::string_view value) -> Status {
      Handle block;
      const char* end = value.data() + value.size();
      if (DecodeHandle(value.data(), end, &block) != end) {
        return Damage(index.offset, "a handle in the index block is damaged");
      }
      RETURN_IF_ERROR(ForEachEntry(block, [&](std::string_view key, std::string_view entry) {
        return Emit(block, key, entry, sink);
      }));
      if (has_key_ && separator < last_key_) {
        return Damage(block.offset, "a block has keys above its key in the index");
      }
      return OkStatus();
    });
  }

 private:
  Status Damage(uint64_t offset, std::string_view what) const {
    return CorruptionError("read index {} at offset {}: {}", path_, offset, what);
  }

  Status Emit(const Handle& block, std::string_view key, std::string_view value,
              const EntrySink& sink) {
    if (has_key_ && key <= last_key_) return Damage(block.offset, "the keys are not in order");
    has_key_ = true;
    last_key_.assign(key);
    key_bytes_ += key.size();
    if (key_bytes_ > kMaxKeyRatio * bytes_.size()) {
      return Damage(block.offset, "the keys are larger than the file can mean");
    }
    return sink(key, value);
  }

  Status ReadFooter(Handle* index) {
    if (bytes_.size() < kTableFooterBytes) {
      return CorruptionError("read index {}: {} bytes, at least {} are needed", path_,
                             bytes_.size(), kTableFooterBytes);
    }
    const uint64_t place = bytes_.size() - kTableFooterBytes;
    const char* p = bytes_.data() + place;
    const char* const magic = bytes_.data() + bytes_.size() - 8;
    if (LoadLittle64(magic) != kTableMagic) {
      return CorruptionError("read index {} at offset {}: magic number {:#x}, expected {:#x}",
                             path_, bytes_.size() - 8, LoadLittle64(magic), kTableMagic);
    }
    Handle metaindex;
    p = DecodeHandle(p, magic, &metaindex);
    if (p != nullptr) p = DecodeHandle(p, magic, index);
    // Exactly what a writer writes: the shortest numbers, then zeros.
    std::string written;
    for (const Handle& handle : {metaindex, *index}) {
      AppendVarint(handle.offset, &written);
      AppendVarint(handle.size_bytes, &written);
    }
    written.resize(kTableFooterBytes - 8);
    if (p == nullptr || written != bytes_.substr(place, written.size())) {
      return Damage(place, "the footer is damaged");
    }
    std::string scratch;
    return ReadBlock(metaindex, &scratch).status();
  }

  // The block's content; in `scratch` if it was compressed.
  StatusOr<std::string_view> ReadBlock(const Handle& handle, std::string* scratch) const {
    const uint64_t limit = bytes_.size() - kTableFooterBytes;
    if (handle.offset > limit || limit - handle.offset < kTableTrailerBytes ||
        handle.size_bytes > limit - handle.offset - kTableTrailerBytes) {
      return Damage(handle.offset, "a block reaches beyond the file");
    }
    const std::string_view block = bytes_.substr(handle.offset, handle.size_bytes);
    const char* trailer = block.data() + block.size();
    const uint32_t stored = LoadLittle32(trailer + 1);
    const uint32_t crc = MaskCrc(Crc32c(block.data(), block.size() + 1));
    if (crc != stored) {
      return CorruptionError("read index {} at offset {}: block crc {:#010x}, expected {:#010x}",
                             path_, handle.offset, stored, crc);
    }
    if (*trailer == kPlainBlock) return block;
    if (*trailer != kSnappyBlock) return Damage(handle.offset, "a block of unknown compression");
    size_t size_bytes = 0;
    if (!snappy::GetUncompressedLength(block.data(), block.size(), &size_bytes) ||
        size_bytes > kMaxSnappyRatio * block.size()) {
      return Damage(handle.offset, "a Snappy block is damaged");
    }
    scratch->resize(size_bytes);
    if (!snappy::RawUncompress(block.data(), block.size(), scratch->data())) {
      return Damage(handle.offset, "a Snappy block is damaged");
    }
    return *scratch;
  }

  Status ForEachEntry(const Handle& handle, const EntrySink& sink) const {
    std::string scratch;
    ASSIGN_OR_RETURN(const std::string_view block, ReadBlock(handle, &scratch));
    const uint64_t restarts = block.size() < 4 ? 0 : LoadLittle32(&block[block.size() - 4]);
    if (block.size() < 4 || restarts > (block.size() - 4) / 4) {
      return Damage(handle.offset, "a block's restarts are damaged");
    }
    const char* p = block.data();
    const char* const end = p + block.size() - 4 - 4 * restarts;
    std::string key;
    while (p < end) {
      uint64_t shared = 0, unshared = 0, value_bytes = 0;
      p = DecodeVarint(p, end, &shared);
      if (p != nullptr) p = DecodeVarint(p, end, &unshared);
      if (p != nullptr) p = DecodeVarint(p, end, &value_bytes);
      const uint64_t room = p == nullptr ? 0 : end - p;
      if (p == nullptr || shared > key.size() || unshared > room || value_bytes > room - unshared) {
        return Damage(handle.offset, "an entry of a block is damaged");
      }
      if (shared + unshared > kMaxTableKeyBytes) return Damage(handle.offset, "a key is too long");
      key.resize(shared);
      key.append(p, unshared);
      p += unshared;
      RETURN_IF_ERROR(sink(key, std::string_view(p, value_bytes)));
      p += value_bytes;
    }
    return OkStatus();
  }

  const std::string_view bytes_;
  const std::string& path_;
  bool has_key_ = false;
  std::string last_key_;
  uint64_t key_bytes_ = 0;
};

// Shortens `key` to a byte string ≥ it and < `next`.
void ShortenBelow(std::string_view next, std::string* key) {
  const size_t common =
      std::mismatch(key->begin(), key->end(), next.begin(), next.end()).first - key->begin();
  if (common >= std::min(key->size(), next.size())) return;  // one starts with the other
  const auto byte = static_cast<uint8_t>((*key)[common]);
  if (byte == 0xff || byte + 1 >= static_cast<uint8_t>(next[common])) return;
  (*key)[common] = static_cast<char>(byte + 1);
  key->resize(common + 1);
}

// Shortens `key` to a byte string ≥ it.
void ShortenAbove(std::string* key) {
  for (size_t i = 0; i < key->size(); ++i) {
    const auto byte = static_cast<uint8_t>((*key)[i]);
    if (byte == 0xff) continue;
    (*key)[i] = static_cast<char>(byte + 1);
    key->resize(i + 1);
    return;
  }
}

}  // namespace

Status ReadSortedTable(std::string_view bytes, const std::string& path, const EntrySink& sink) {
  return TableReader(bytes, path).Read(sink);
}

void TableBlockBuilder::Add(std::string_view key, std::string_view value) {
  size_t shared = 0;
  if (since_restart_ < restart_interval_) {
    shared = std::mismatch(last_key_.begin(), last_key_.end(), key.begin(), key.end()).first -
             last_key_.begin();
  } else {
    restarts_.push_back(static_cast<uint32_t>(bytes_.size()));
    since_restart_ = 0;
  }
  AppendVarint(shared, &bytes_);
  AppendVarint(key.size() - shared, &bytes_);
  AppendVarint(value.size(), &bytes_);
  bytes_.append(key.substr(shared));
  bytes_.append(value);
  last_key_.assign(key);
  ++since_restart_;
}

std::string TableBlockBuilder::Finish() {
  std::string block = std::move(bytes_);
  for (const uint32_t restart : restarts_) AppendLittle32(restart, &block);
  AppendLittle32(static_cast<uint32_t>(restarts_.size()), &block);
  bytes_.clear();
  last_key_.clear();
  restarts_ = {0};
  since_restart_ = 0;
  return block;
}

Status SortedTableBuilder::Add(std::string_view key, std::string_view value) {
  if (has_entries_ && key <= last_key_) return Error("write index: key '{}' is out of order", key);
  if (key.size() > kMaxTableKeyBytes) {
    return Error("write index: a key of {} bytes, at most {} are taken", key.size(),
                 kMaxTableKeyBytes);
  }
  if (!pending_handle_.empty()) FlushDataBlock(key);
  has_entries_ = true;
  last_key_.assign(key);
  data_.Add(key, value);
  if (data_.size_bytes() >= block_bytes_) pending_handle_ = WriteBlock(&data_);
  return OkStatus();
}

// Puts the last data block into the index, now that the key behind it is known.
void SortedTableBuilder::FlushDataBlock(std::string_view next_key) {
  std::string separator = last_key_;
  ShortenBelow(next_key, &separator);
  index_.Add(separator, pending_handle_);
  pending_handle_.clear();
}

// Appends the block to the table; returns its handle.
std::string SortedTableBuilder::WriteBlock(TableBlockBuilder* block) {
  std::string bytes = block->Finish();
  std::string handle;
  AppendVarint(table_.size(), &handle);
  AppendVarint(bytes.size(), &handle);
  bytes.push_back(kPlainBlock);
  AppendLittle32(MaskCrc(Crc32c(bytes)), &bytes);
  table_.append(bytes);
  return handle;
}

std::string SortedTableBuilder::Finish() {
  if (!data_.empty()) pending_handle_ = WriteBlock(&data_);
  TableBlockBuilder metaindex(kTableRestartInterval);
  std::string footer = WriteBlock(&metaindex);
  if (!pending_handle_.empty()) {
    std::string separator = last_key_;
    ShortenAbove(&separator);
    index_.Add(separator, pending_handle_);
    pending_handle_.clear();
  }
  footer += WriteBlock(&index_);
  footer.resize(kTableFooterBytes - 8);
  AppendLittle64(kTableMagic, &footer);
  return std::move(table_) + footer;
}

}  // namespace capstan
