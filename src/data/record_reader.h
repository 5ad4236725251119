// Raw records of one file, front to back: payloads of a TFRecord file, or lines of text.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/status.h"

namespace capstan {

enum class RecordFormat { kTfRecord, kCsv, kLibsvm, kCriteo };

// "tfrecord", "csv", "libsvm", "criteo".
const char* NameOf(RecordFormat format);
StatusOr<RecordFormat> RecordFormatByName(const std::string& name);

// Where a record begins. Text counts lines, blank ones too.
struct RecordPlace {
  int64_t record = 0;   // number in the file, from 0
  uint64_t offset = 0;  // in decompressed bytes
};

// "read PATH at offset N" or "read PATH at line N" (from 1).
std::string PlaceText(RecordFormat format, const std::string& path, const RecordPlace& place);

// One reader, one thread.
class RecordReader {
 public:
  virtual ~RecordReader() = default;

  // The next record's bytes, valid until the next call; false at the end. Errors are whole
  // sentences with file and place; after one the reader may go on with the next record if
  // can_continue().
  virtual StatusOr<bool> Next(std::string_view* record) = 0;
  virtual bool can_continue() const = 0;
  // Of the record (or the damage) that Next() came upon last.
  virtual RecordPlace place() const = 0;
  // How long that record is, also one whose payload is damaged; 0 when nothing can be read behind.
  virtual uint64_t size_bytes() const = 0;
  // Goes to a place that place() gave.
  virtual Status Seek(const RecordPlace& place) = 0;
};

// Opens a file, plain, gzip or zlib, found by looking. Text is cut at \n; \r before it, blank lines
// and a byte order mark are dropped, the last line may lack its \n.
StatusOr<std::unique_ptr<RecordReader>> OpenRecordReader(FileSystem& fs, const std::string& path,
                                                         RecordFormat format);

}  // namespace capstan
