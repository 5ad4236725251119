// Passes over the records of one file: where they lie and how long they are, not what they hold.
#pragma once

#include <memory>
#include <string>

#include "base/file_system.h"
#include "base/status.h"
#include "data/record_reader.h"

namespace capstan {

// A reader of the same records at the same places. Of a plain TFRecord file it reads lengths only,
// checked by their CRC, and hops over payloads: Next() gives empty views, size_bytes() tells, and
// damage of a payload goes unseen. Any other file is read as OpenRecordReader does.
StatusOr<std::unique_ptr<RecordReader>> OpenRecordSkimmer(FileSystem& fs, const std::string& path,
                                                          RecordFormat format);

}  // namespace capstan
