// What looking at the files found, in words; and the first check against the spec.
#pragma once

#include <string>

#include "base/status.h"
#include "data/batch_stream.h"
#include "data/input_format.h"
#include "data/row_plan.h"
#include "data/text_layout.h"

namespace capstan {

// An error when the first records have none of the spec's columns at all.
StatusOr<InputReport> MakeInputReport(const RowPlan& plan, const TextLayout& layout,
                                      const InputSample& sample, const std::string& path);

}  // namespace capstan
