// Writes TFRecord files.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/status.h"
#include "formats/byte_source.h"

namespace capstan {

// One writer, one thread. Close() must be called and be OK, else the file is not complete.
class TfRecordWriter {
 public:
  static StatusOr<std::unique_ptr<TfRecordWriter>> Create(FileSystem& fs, const std::string& path,
                                                          Compression compression);
  ~TfRecordWriter();

  Status Write(std::string_view payload);
  // Readers of the file see all records written so far (plain files).
  Status Flush();
  Status Close();

 private:
  struct Rep;
  explicit TfRecordWriter(std::unique_ptr<Rep> rep);
  const std::unique_ptr<Rep> rep_;
};

}  // namespace capstan
