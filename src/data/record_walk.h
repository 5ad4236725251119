// All records of all epochs, one after another: the order of the files, and which block each
// record belongs to.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "data/input_format.h"
#include "data/input_position.h"
#include "data/record_reader.h"

namespace capstan {

struct RecordWalkOptions {
  std::vector<std::string> paths;
  InputFormat format;
  int64_t epochs = 1;
  // Records of a block. A block also ends when its records' bytes reach 128 MB.
  int64_t block_records = 65536;
  bool permute_files = true;  // else in the order given
  bool number_blocks = true;  // else all are block 0
  uint64_t seed = 0;
  bool skim = false;  // records come empty where that is cheaper (record_skimmer.h)
};

// Stands before a record, or behind the last of an epoch. What cannot be read is a record with the
// reason: a damaged record, a file without records, one with another header, one that cannot be
// opened. After damage behind which nothing can be found, the next file follows. One thread.
//
//   walk.Start(position);
//   while (!walk.at_end()) {
//     for (walk.BeginBlock(); walk.in_block(); walk.Advance()) … walk.bytes() …
//     walk.EndBlock();
//   }
class RecordWalk {
 public:
  RecordWalk(FileSystem& fs, const RecordWalkOptions& options);

  // Goes to the start of a block. An error if it does not fit the files.
  Status Start(const InputPosition& position);

  // Behind the last epoch.
  bool at_end() const { return epoch_ >= options_.epochs; }
  // Behind the last record of the epoch.
  bool at_epoch_end() const { return !has_record_; }
  // Of the record, if it begins a block.
  InputPosition position() const;
  // Number in the epoch's order → in the list of paths.
  const std::vector<uint32_t>& file_order() const { return file_order_; }

  void BeginBlock();
  // There is a record, and it belongs to the block.
  bool in_block() const;
  void EndBlock();

  // The record. Its bytes are valid until Advance().
  std::string_view bytes() const { return bytes_; }
  const Status& damage() const { return damage_; }
  uint32_t file() const { return static_cast<uint32_t>(record_file_); }
  const RecordPlace& place() const { return place_; }
  void Advance();

 private:
  void BeginEpoch();
  bool Fetch();
  bool FetchFromFile();
  Status OpenFile();
  const std::string& Path() const;
  void LoseFile(const Status& damage);

  FileSystem& fs_;
  const RecordWalkOptions options_;

  int64_t epoch_ = 0;
  int64_t block_ = 0;
  int64_t block_records_ = 0;  // that were passed in the block
  uint64_t block_bytes_ = 0;
  std::vector<uint32_t> file_order_;
  size_t file_ = 0;  // in file_order_
  std::unique_ptr<RecordReader> reader_;
  bool fresh_file_ = false;  // nothing came from it so far

  bool has_record_ = false;
  std::string_view bytes_;
  uint64_t size_bytes_ = 0;
  Status damage_;
  RecordPlace place_;
  size_t record_file_ = 0;
};

// Fisher and Yates, driven by the seed.
void Permute(uint64_t seed, std::vector<uint32_t>* order);

}  // namespace capstan
