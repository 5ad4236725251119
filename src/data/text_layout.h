// Which fields of a line are which columns of a RowPlan.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "data/input_format.h"
#include "data/row_plan.h"

namespace capstan {

// The parts of a LIBSVM line; their names as columns are "label", "ids", "values" and "qid".
enum class LibsvmPart { kLabel, kIds, kValues, kQid, kNone };

struct TextLayout {
  RecordFormat format = RecordFormat::kCsv;
  char separator = ',';
  int field_count = 0;  // of each line

  // [plan column]: numbers of its fields in order; none: it is missing in every record. A column
  // has several only when it is the vector of all columns without a role of their own.
  std::vector<std::vector<int>> fields;
  std::vector<bool> is_hex;        // [plan column]: integers are hexadecimal (Criteo's C columns)
  std::vector<LibsvmPart> libsvm;  // [plan column]

  bool has_label = false;
};

// Errors name the file, the column and the columns that there are.
StatusOr<TextLayout> MakeTextLayout(const RowPlan& plan, const InputSample& sample,
                                    const std::string& path);

// "label", "I1" … "I13", "C1" … "C26".
std::vector<std::string> CriteoColumns();

}  // namespace capstan
