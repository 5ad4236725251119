// All records of all epochs, block by block, each block permuted: the order of training.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "data/input_format.h"
#include "data/record_block.h"
#include "data/record_reader.h"

namespace capstan {

struct BlockReaderOptions {
  std::vector<std::string> paths;
  InputFormat format;
  int64_t epochs = 1;
  // Records of a block. A block also ends when its bytes reach 128 MB.
  int64_t block_records = 65536;
  bool permute = true;  // else files and records in the order given
  uint64_t seed = 0;
};

// One reader, one thread. What cannot be read becomes an entry with the reason: a damaged record, a
// file without records, one with another header, one that cannot be opened. After damage behind
// which nothing can be found, the next file follows.
class BlockReader {
 public:
  BlockReader(FileSystem& fs, const BlockReaderOptions& options);

  // Goes to a position. An error if it does not fit the files.
  Status Start(const InputPosition& position);

  // Fills an empty block, whose `next` is the start of the block to come; false at the end of the
  // last epoch, or once `stop` is set.
  bool Next(const std::atomic<bool>& stop, RecordBlock* block);

 private:
  void BeginEpoch();
  bool Fetch();
  bool FetchFromFile();
  Status OpenFile();
  const std::string& Path() const;
  void SetDamage(const Status& damage);
  InputPosition Here() const;
  void Add(RecordBlock* block);
  void Permute(RecordBlock* block) const;

  FileSystem& fs_;
  const BlockReaderOptions options_;

  int64_t epoch_ = 0;
  int64_t block_ = 0;
  std::vector<uint32_t> file_order_;
  size_t file_ = 0;  // in file_order_
  std::unique_ptr<RecordReader> reader_;
  bool fresh_file_ = false;  // nothing came from it so far

  // The record that follows, already read so that a block knows whether it is the last.
  bool has_pending_ = false;
  std::string_view pending_;
  Status pending_damage_;
  RecordPlace pending_place_;
  size_t pending_file_ = 0;
};

}  // namespace capstan
