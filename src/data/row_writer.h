// Generated rows as records of each format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/record_reader.h"
#include "data/teacher.h"
#include "formats/example_builder.h"

namespace capstan {

enum class RowKind { kClicks, kDense, kSparse };

// One writer, one thread.
//
//   kind    TFRecord                          CSV                   LIBSVM
//   clicks  float I1…I13, int64 C1…C26, label  label,I1…I13,C1…C26   I: ids 1…13; C: one range each
//   dense   features float[9], int64 label    label,x1…x9           ids 1…9
//   sparse  ids int64, values float, label    label,ids,values (|)  ids 1…123, values 1
//
// Criteo TSV (clicks only) has the ids as eight hexadecimal digits.
class RowWriter {
 public:
  // An error when the kind cannot be written in that format.
  static Status Check(RowKind kind, RecordFormat format);

  RowWriter(RowKind kind, RecordFormat format, const std::vector<int64_t>& cardinalities);

  // With its line end; "" when there is none.
  std::string Header() const;
  // Appends the record: a TFRecord's payload, or a line with its end.
  void Append(const TeacherRow& row, std::string* out);

 private:
  void AppendExample(const TeacherRow& row, std::string* out);
  void AppendCsv(const TeacherRow& row, std::string* out);
  void AppendCriteo(const TeacherRow& row, std::string* out);
  void AppendLibsvm(const TeacherRow& row, std::string* out);

  const RowKind kind_;
  const RecordFormat format_;
  std::vector<int64_t> first_ids_;  // LIBSVM: where each categorical's range begins
  std::vector<std::pair<std::string, int>> int_names_, float_names_;  // clicks, sorted by name
  std::vector<float> ones_;
  ExampleBuilder builder_;
};

}  // namespace capstan
