// Raw records → the rows of a batch.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "data/batch.h"
#include "data/row_plan.h"
#include "data/text_layout.h"

namespace capstan {

struct RawRecord {
  std::string_view bytes;
  const Status* damage = nullptr;  // not null: it could not be read
};

struct BadRow {
  int index = 0;  // in the records given
  Status reason;  // without a place
};

// One parser, one thread. `plan` and `layout` outlive it.
class RecordParser {
 public:
  virtual ~RecordParser() = default;

  // Fills `batch` (all but position) with the good records in order and appends the others to
  // `*bad`; stops behind the first bad one if `stop_at_bad`. Memory of `batch` is used again.
  virtual void Parse(std::span<const RawRecord> records, bool stop_at_bad, Batch* batch,
                     std::vector<BadRow>* bad) = 0;
};

std::unique_ptr<RecordParser> NewRecordParser(const RowPlan& plan, const TextLayout& layout);

}  // namespace capstan
