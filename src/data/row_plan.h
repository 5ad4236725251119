// An InputSpec made ready for parsing: which columns of the records are needed, and where in a
// batch their values go. Immutable, shared by all parsing threads.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "data/category_key.h"
#include "data/feature_spec.h"

namespace capstan {

struct RowPlan {
  // Columns are numbers in `columns`; -1: none.
  struct Float {
    const FeatureSpec* feature = nullptr;
    int column = -1;
    int offset = 0;  // in a row of Batch::dense
  };
  struct Category {
    const FeatureSpec* feature = nullptr;
    int column = -1;          // -1: kCross
    int weights_column = -1;  // multi-valued only
    int index = 0;            // in Batch::columns
    // kCross: its parts, as indices in Batch::columns, and whether each goes in as its string.
    std::vector<int> parts;
    std::vector<bool> part_is_string;
    bool keeps_string = false;                     // a cross needs the string
    std::unique_ptr<const Vocabulary> vocabulary;  // kVocabulary
  };

  InputSpec spec;
  std::vector<std::string> columns;  // distinct names
  std::vector<Float> floats;
  std::vector<Category> categories;  // crosses behind all others
  int dense_width = 0;
  int label = -1, example_weight = -1, group = -1;
  std::vector<int> id_columns;
};

// Checks the spec: names, lengths, sizes, boundaries, vocabularies, crosses, measured means. Errors
// name the feature.
StatusOr<std::unique_ptr<const RowPlan>> MakeRowPlan(const InputSpec& spec);

// The column that a feature reads: `column`, or its name when that is empty.
const std::string& ColumnOf(const FeatureSpec& feature);

}  // namespace capstan
