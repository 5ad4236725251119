// Sorted string tables in LevelDB's layout, as TensorFlow uses them for the index of a tensor
// bundle.
//
//   table   := data block … | metaindex block (empty) | index block | footer
//   block   := entry … | restart offset (fixed32) … | number of restarts (fixed32)
//              | type (1 byte: 0 plain, 1 Snappy) | masked CRC-32C of block and type (fixed32)
//   entry   := shared (varint) | unshared (varint) | value length (varint) | key suffix | value
//              `shared` bytes of the key before are the start of this key; 0 at restarts
//   index   := a block: key ≥ every key of a data block, < every key of the next
//              → handle of the data block; a restart at each entry
//   handle  := offset (varint) | size (varint), without the 5 bytes of type and CRC
//   footer  := metaindex handle | index handle | zeros up to 40 bytes | magic (fixed64)
//
// All numbers little-endian. Keys are byte strings in strictly increasing order.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace capstan {

constexpr uint64_t kTableMagic = 0xdb4775248b80fb57u;
constexpr size_t kTableFooterBytes = 48;
constexpr size_t kTableTrailerBytes = 5;
constexpr size_t kTableBlockBytes = 262'144;
constexpr int kTableRestartInterval = 16;
// A longer key is taken for damage.
constexpr size_t kMaxTableKeyBytes = 1 << 16;

// Calls `sink` for each entry of the table in `bytes`, in order; the views live during the call.
// All CRCs, lengths, handles and the order of keys are checked. `path` is for messages. kDataLoss:
// "read index PATH at offset N: …".
Status ReadSortedTable(
    std::string_view bytes, const std::string& path,
    const std::function<Status(std::string_view key, std::string_view value)>& sink);

// One block while it is written.
class TableBlockBuilder {
 public:
  explicit TableBlockBuilder(int restart_interval) : restart_interval_(restart_interval) {}

  void Add(std::string_view key, std::string_view value);
  bool empty() const { return bytes_.empty(); }
  // With the restarts.
  size_t size_bytes() const { return bytes_.size() + 4 * (restarts_.size() + 1); }
  // The block without type and CRC; the builder is empty again.
  std::string Finish();

 private:
  const int restart_interval_;
  std::string bytes_;
  std::string last_key_;
  std::vector<uint32_t> restarts_ = {0};
  int since_restart_ = 0;
};

// Builds a table in memory, without compression.
class SortedTableBuilder {
 public:
  explicit SortedTableBuilder(size_t block_bytes = kTableBlockBytes) : block_bytes_(block_bytes) {}

  // Keys strictly increasing, else an error.
  Status Add(std::string_view key, std::string_view value);
  std::string Finish();

 private:
  std::string WriteBlock(TableBlockBuilder* block);
  void FlushDataBlock(std::string_view next_key);

  const size_t block_bytes_;
  std::string table_;
  TableBlockBuilder data_{kTableRestartInterval};
  TableBlockBuilder index_{1};
  std::string last_key_;
  bool has_entries_ = false;
  std::string pending_handle_;  // of the last data block, until the first key of the next is known
};

}  // namespace capstan
