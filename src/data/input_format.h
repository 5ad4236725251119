// What kind of file this is: found by looking at its first bytes. docs/input.md tells the rules.
#pragma once

#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/status.h"
#include "data/feature_spec.h"
#include "data/record_reader.h"
#include "formats/byte_source.h"

namespace capstan {

struct InputFormat {
  RecordFormat format = RecordFormat::kTfRecord;
  Compression compression = Compression::kNone;  // of the file that was looked at

  // kCsv
  char separator = ',';
  std::string header;              // the header line; "": there is none
  std::vector<std::string> names;  // of the columns, from the header or the spec; empty: no names
  int columns = 0;                 // in the first line
};

// "tfrecord", "csv with header", "criteo", …
std::string Describe(const InputFormat& format);

// The format and the first records (as many as fit 1 MB, at most 1,000; those before any damage).
struct InputSample {
  InputFormat format;
  std::vector<std::string> records;  // without a CSV header
  Status damage;                     // what ended the look; OK: nothing that is wrong
};

// `wanted` is "tfrecord", "csv", "libsvm", "criteo" or "": by looking. Names of CSV columns that
// the user gave win over a header with the same content. A file without bytes is an error: it "has
// no records".
StatusOr<InputSample> LookAtInput(FileSystem& fs, const std::string& path,
                                  const std::string& wanted,
                                  const std::vector<std::string>& csv_columns);

// Which column of a CSV file without names is the label, 0 or the last, by the rows of a sample: it
// must hold whole numbers (below `classes`, if that is > 0); when both do, the one with fewer
// distinct values, and the last if that is equal too; when none does, the last.
int FindLabelColumn(const InputSample& sample, int classes);

}  // namespace capstan
