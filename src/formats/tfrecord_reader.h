// Reads TFRecord files, plain or compressed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "formats/byte_source.h"

namespace capstan {

// One reader, one thread.
class TfRecordReader {
 public:
  // Finds out the compression by looking.
  static StatusOr<std::unique_ptr<TfRecordReader>> Open(FileSystem& fs, const std::string& path);
  ~TfRecordReader();

  // The next record's payload into `*record`, valid until the next call. False at the end of the
  // file. Damage is kDataLoss: "read tfrecord PATH at offset N: payload crc 0x…, expected 0x…".
  // After a payload with a wrong CRC the reader stands behind it and may go on; after a wrong
  // length CRC or a cut record it cannot (can_continue() is false).
  StatusOr<bool> Next(std::string_view* record);
  bool can_continue() const;
  // The error was a record that the end of the file cuts off, as a killed writer leaves it.
  bool ended_in_cut_record() const;

  // Where the next record starts, in decompressed bytes; and going there (a value of offset()).
  uint64_t offset() const;
  Status Seek(uint64_t offset);

  const std::string& path() const;

 private:
  struct Rep;
  explicit TfRecordReader(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
